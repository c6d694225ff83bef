import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { cloudeventsSource } from '../../src/sources/cloudevents/index.ts';
import { authenticityOf, contextOf, imagesOf, isAuthentic, only, parseWith } from '../api/support/receivers.ts';
import { hmac, itRotatesItsSecret, itSurvivesOddBodies, itTakesVectors } from '../api/support/source-claims.ts';

const receiver = only(cloudeventsSource.open({ cloudevents: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'secret' })));
const digest = `sha256:${'fedcba0987654321'.repeat(4)}`;
const image = { repository: 'registry.example.com/team/app', tag: '2.0.0', digest };

function pushed(data: object = {}, event: object = {}) {
  return {
    specversion: '1.0',
    id: 'a7d1d9c2-6c0a-4a0b-9f0c-0c4b5b1e7a11',
    type: 'container.image.push',
    source: 'https://ci.example.com/builds/7',
    subject: 'team/app:2.0.0',
    time: '2026-01-02T03:04:05Z',
    datacontenttype: 'application/json',
    data: { repository: 'team/app', tag: '2.0.0', digest, registryUrl: 'registry.example.com', ...data },
    ...event,
  };
}

const json = { headers: { 'content-type': 'application/json' } };
const batch = { headers: { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' } };

describe('the cloudevents receiver', () => {
  itTakesVectors('cloudevents', receiver);

  it('takes binary mode, whose attributes are headers', () => {
    const headers = {
      ...json.headers,
      'ce-specversion': '1.0',
      'ce-id': 'a7d1d9c2-6c0a-4a0b-9f0c-0c4b5b1e7a11',
      'ce-type': 'container.image.push',
      'ce-source': 'https://registry.example.com',
      'ce-subject': 'team%2Fapp:2.0.0',
    };
    const parsed = parseWith(receiver, { digest }, { headers });
    assert.deepEqual(imagesOf(parsed), [image]);
    assert.equal(parsed.deliveryId, 'a7d1d9c2-6c0a-4a0b-9f0c-0c4b5b1e7a11');
    assert.equal(parsed.event, 'container.image.push');
    assert.deepEqual(imagesOf(parseWith(receiver, null, { headers })), [{ ...image, digest: null }]);
    const broken = { ...headers, 'ce-subject': 'team/app:100%' };
    assert.equal(parseWith(receiver, {}, { headers: broken }).ignored, 'no tag was pushed');
  });

  it('refuses binary mode without a type', () => {
    const headers = { ...json.headers, 'ce-specversion': '1.0' };
    assert.throws(() => parseWith(receiver, {}, { headers }), { name: 'Problem', status: 400, message: /ce-type/ });
  });

  it('takes data in base64', () => {
    const { data, ...event } = pushed();
    const encoded = Buffer.from(JSON.stringify(data)).toString('base64');
    assert.deepEqual(imagesOf(parseWith(receiver, { ...event, data_base64: encoded }, json)), [image]);
    for (const data_base64 of ['bm90IEpTT04=', '!!!']) {
      assert.throws(() => parseWith(receiver, { ...event, data_base64 }, json), { name: 'Problem', status: 400 });
    }
  });

  it('takes a batch, each event with its own id, and leaves what is none', () => {
    const other = pushed({ tag: '2.0.1' }, { id: 'b7d1d9c2-6c0a-4a0b-9f0c-0c4b5b1e7a12' });
    const unrelated = { specversion: '1.0', type: 'com.example.database.updated', source: '/', data: {} };
    for (const options of [batch, json]) {
      const parsed = parseWith(receiver, [null, unrelated, pushed(), 'text', { specversion: '1.0' }, other], options);
      assert.deepEqual(imagesOf(parsed), [image, { ...image, tag: '2.0.1' }]);
      assert.deepEqual(
        parsed.pushes.map(({ deliveryId }) => deliveryId),
        ['a7d1d9c2-6c0a-4a0b-9f0c-0c4b5b1e7a11', 'b7d1d9c2-6c0a-4a0b-9f0c-0c4b5b1e7a12'],
      );
    }
    assert.equal(parseWith(receiver, [], batch).ignored, 'nothing was pushed');
    assert.throws(() => parseWith(receiver, [null, unrelated], batch), { name: 'Problem', status: 400 });
  });

  it('refuses more events than anybody sends at once, before it looks at them', () => {
    const other = { specversion: '1.0', type: 'x' };
    for (const options of [batch, json]) {
      assert.ok(parseWith(receiver, Array(1000).fill(other), options).ignored);
      assert.throws(() => parseWith(receiver, Array(1001).fill(other), options), {
        name: 'Problem',
        status: 400,
        message: /at most 1000/,
      });
    }
  });

  it('takes events of Harbor and of EventBridge in the envelope', () => {
    const resources = [{ digest, tag: '2.0.0', resource_url: 'registry.example.com/team/app:2.0.0' }];
    assert.deepEqual(imagesOf(parseWith(receiver, pushed({ resources }, { type: 'harbor.artifact.pushed' }), json)), [image]);
    const data = {
      'detail-type': 'ECR Image Action',
      source: 'aws.ecr',
      account: '123456789012',
      region: 'cn-north-1',
      detail: { 'action-type': 'PUSH', result: 'SUCCESS', 'repository-name': 'app', 'image-tag': '1' },
    };
    assert.deepEqual(imagesOf(parseWith(receiver, pushed({}, { type: 'aws.ecr', data }), json)), [
      { repository: '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app', tag: '1', digest: null },
    ]);
    const arn = {
      type: 'com.amazon.ecr.image.push',
      source: 'arn:aws-cn:ecr:cn-north-1:123456789012:repository/app',
      subject: 'app:1',
    };
    assert.deepEqual(imagesOf(parseWith(receiver, pushed({}, { ...arn, data: null }), json)), [
      { repository: '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app', tag: '1', digest: null },
    ]);
    assert.deepEqual(parseWith(receiver, pushed({}, { ...arn, type: 'com.amazon.ecr.image.delete' }), json).pushes, []);
  });

  it('finds registry, repository, tag and digest wherever they are said', () => {
    const at = (data: object, event: object = {}) => imagesOf(parseWith(receiver, pushed(data, event), json))[0];
    const alone = { registryUrl: undefined, digest: undefined };
    const source = 'https://ghcr.io/owner/repo';
    assert.equal(at({ registryUrl: 'https://Registry.example.com:5000/v2/' })?.repository, 'registry.example.com:5000/team/app');
    assert.equal(at({ repository: 'registry.example.com/team/app' })?.repository, 'registry.example.com/team/app');
    assert.equal(at({ repository: 'docker.io/library/nginx' })?.repository, 'registry.example.com/docker.io/library/nginx');
    assert.equal(at({ ...alone, registry: 'quay.io' })?.repository, 'quay.io/team/app');
    assert.equal(at(alone, { source })?.repository, 'ghcr.io/team/app');
    assert.equal(at(alone, { source: 'ghcr.io/owner/repo' })?.repository, 'ghcr.io/team/app');
    assert.equal(at({ ...alone, repository: 'quay.io/team/app' }, { source })?.repository, 'quay.io/team/app');
    assert.equal(at({ ...alone, repository: 'my.app' }, { source })?.repository, 'ghcr.io/my.app');
    const written = { ...alone, repository: `quay.io:443/team/app:v3@${digest}`, tag: undefined };
    assert.deepEqual(at(written), { repository: 'quay.io:443/team/app', tag: 'v3', digest });
    assert.deepEqual(at({ ...alone, repository: null, tag: 5 }, { source, subject: `team/app:v4@${digest}` }), {
      repository: 'ghcr.io/team/app',
      tag: 'v4',
      digest,
    });
    assert.equal(parseWith(receiver, pushed({ commit: 'deadbeef1234567' }), json).pushes[0]?.commit, 'deadbeef1234567');
  });

  it('takes what Event Grid says of Azure Container Registry', () => {
    const target = { mediaType: 'application/vnd.oci.image.index.v1+json', repository: 'team/app', tag: '2.0.0', digest };
    const ofAzure = (data: object = {}, type = 'Microsoft.ContainerRegistry.ImagePushed') => ({
      specversion: '1.0',
      id: '831e1650-001e-001b-66ab-eeb76e069631',
      type,
      source: '/subscriptions/1/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/demo',
      subject: 'team/app:2.0.0',
      data: { action: 'push', target, request: { host: 'demo.azurecr.io', method: 'PUT' }, ...data },
    });
    const parsed = parseWith(receiver, [ofAzure()], batch);
    assert.deepEqual(imagesOf(parsed), [{ ...image, repository: 'demo.azurecr.io/team/app' }]);
    assert.equal(parsed.deliveryId, '831e1650-001e-001b-66ab-eeb76e069631');
    for (const other of [
      ofAzure({ action: 'delete' }, 'Microsoft.ContainerRegistry.ImageDeleted'),
      ofAzure({ action: 'chart_push' }, 'Microsoft.ContainerRegistry.ChartPushed'),
      ofAzure({ target: { ...target, tag: undefined } }),
      ofAzure({ target: { ...target, mediaType: 'application/vnd.cncf.helm.config.v1+json' } }),
    ]) {
      const { pushes, ignored } = parseWith(receiver, other, json);
      assert.deepEqual([pushes, typeof ignored], [[], 'string']);
    }
    for (const request of [{}, { host: 'demo' }, { host: 'evil.example/x' }, null]) {
      assert.throws(() => parseWith(receiver, ofAzure({ request }), json), { name: 'Problem', status: 400 });
    }
  });

  it('refuses an image without a registry', () => {
    for (const source of ['urn:ci:build', '/builds/7', 'build', '', null, 'ftp://ghcr.io/x']) {
      const event = pushed({ registryUrl: undefined }, { source });
      assert.throws(() => parseWith(receiver, event, json), { name: 'Problem', status: 400 }, String(source));
    }
  });

  it('ignores what did not push an image', () => {
    for (const type of ['container.image.delete', 'com.example.container.pulled', 'com.example.chart.pushed', 'x']) {
      const parsed = parseWith(receiver, pushed({}, { type }), json);
      assert.deepEqual(parsed.pushes, []);
      assert.ok(parsed.ignored);
    }
  });

  it('refuses what is no CloudEvent', () => {
    for (const body of [
      null,
      'text',
      1,
      {},
      [],
      [{}],
      { type: 'container.push' },
      pushed({}, { specversion: 1 }),
      pushed({}, { type: null }),
    ]) {
      assert.throws(() => parseWith(receiver, body, json), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
    assert.throws(() => parseWith(receiver, { context: {} }, { headers: { 'content-type': 'application/cloudevents+json' } }), {
      name: 'Problem',
      status: 400,
    });
  });

  for (const [header, prove] of [
    ['Authorization', (secret: string) => ({ authorization: `Bearer ${secret}` })],
    ['X-Webhook-Secret', (secret: string) => ({ 'x-webhook-secret': secret })],
  ] as const) {
    describe(`with a token in ${header}`, () =>
      itRotatesItsSecret({
        open: (secrets, context) => cloudeventsSource.open({ cloudevents: { secrets } }, context),
        prove,
        worthless: [
          { authorization: 'Basic secret-of-today' },
          { 'x-webhook-secret': 'Bearer secret-of-today' },
          { 'x-secret': 'secret-of-today' },
        ],
      }));
  }

  describe('with a token in a header of its own', () =>
    itRotatesItsSecret({
      open: (secrets, context) => cloudeventsSource.open({ cloudevents: { secrets, header: 'X-Token' } }, context),
      prove: (secret) => ({ 'x-token': secret }),
      worthless: [{ authorization: 'Bearer secret-of-today' }, { 'x-webhook-secret': 'secret-of-today' }],
    }));

  describe('with a signature', () =>
    itRotatesItsSecret({
      open: (secrets, context) =>
        cloudeventsSource.open({ cloudevents: { secrets, signature: { header: 'X-Signature', prefix: 'sha256=' } } }, context),
      prove: (secret, body) => ({ 'x-signature': `sha256=${hmac(secret, body)}` }),
      worthless: [
        { 'x-signature': hmac('secret-of-today', '{"a":"request"}') },
        { 'x-signature': `sha256=${hmac('secret-of-today', 'another body')}` },
        { authorization: 'Bearer secret-of-today' },
        { 'x-webhook-secret': 'secret-of-today' },
      ],
    }));

  it('takes a signature of another algorithm where that is said', async () => {
    const signature = { header: 'X-Signature', algorithm: 'sha1' } as const;
    const cloudevents = { secrets: ['env:SECRET'], signature };
    const signed = only(cloudeventsSource.open({ cloudevents }, contextOf({ SECRET: 'secret' })));
    assert.equal(await isAuthentic(signed, { headers: { 'x-signature': hmac('secret', 'body', 'sha1') } }, 'body'), true);
    assert.equal(await isAuthentic(signed, { headers: { 'x-signature': hmac('secret', 'body') } }, 'body'), false);
  });

  it('says in the log whether there was a token at all', async () => {
    const reasonOf = async (headers: IncomingHttpHeaders) => {
      const verdict = await authenticityOf(receiver, { headers });
      return verdict.authentic ? undefined : verdict.reason;
    };
    assert.equal(await reasonOf({}), 'no Authorization and no X-Webhook-Secret');
    for (const headers of [{ authorization: 'Bearer canary' }, { 'x-webhook-secret': 'canary' }]) {
      assert.equal(await reasonOf(headers), 'the secret is none of those that are configured');
    }
  });

  it('takes a token or a signature in its settings, not both', () => {
    const settings = cloudeventsSource.settings(() => undefined);
    const signature = { header: 'X-Signature' };
    assert.deepEqual(settings.parse({ secrets: 'env:S', signature }), { secrets: ['env:S'], signature });
    assert.match(settings.safeParse({ secrets: 'env:S', header: 'X', signature }).error?.message ?? '', /found both/);
    for (const header of ['', 'X Token', 'X:', 'X\r\nY', 5]) {
      assert.equal(settings.safeParse({ secrets: 'env:S', header }).success, false, String(header));
      assert.equal(settings.safeParse({ secrets: 'env:S', signature: { header } }).success, false, String(header));
    }
  });

  itSurvivesOddBodies(receiver, [
    { whole: pushed(), ...json },
    { whole: [pushed()], ...batch },
  ]);
});
