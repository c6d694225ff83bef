import assert from 'node:assert/strict';
import { ecrSource } from '../../src/sources/ecr/index.ts';
import { contextOf, imagesOf, isAuthentic, only, parseWith } from '../api/support/receivers.ts';
import { itRotatesItsSecret, itSurvivesOddBodies } from '../api/support/source-claims.ts';
import { vectorsOf } from '../api/support/vectors.ts';

const receiver = only(ecrSource.open({ ecr: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'secret' })));
const digest = `sha256:${'7f5b2640fe6fb4f46592dfd3410c4a79'.repeat(2)}`;

/** As the documentation of ECR shows it. */
function pushed(detail: object = {}, event: object = {}) {
  return {
    version: '0',
    id: '13cde686-328b-6117-af20-0e5566167482',
    'detail-type': 'ECR Image Action',
    source: 'aws.ecr',
    account: '123456789012',
    time: '2019-11-16T01:54:34Z',
    region: 'us-west-2',
    resources: [],
    detail: {
      result: 'SUCCESS',
      'repository-name': 'my-repository-name',
      'image-digest': digest,
      'action-type': 'PUSH',
      'image-tag': 'latest',
      ...detail,
    },
    ...event,
  };
}

const image = { repository: '123456789012.dkr.ecr.us-west-2.amazonaws.com/my-repository-name', tag: 'latest', digest };

describe('the ecr receiver', () => {
  it('takes a push that EventBridge tells of, with the id of its event', () => {
    const parsed = parseWith(receiver, pushed());
    assert.deepEqual(imagesOf(parsed), [image]);
    assert.equal(parsed.deliveryId, '13cde686-328b-6117-af20-0e5566167482');
    assert.equal(parsed.event, 'ECR Image Action');
  });

  it('names images as they are pulled in each partition', () => {
    const at = (region: string) =>
      imagesOf(parseWith(receiver, pushed({ 'repository-name': 'team/app' }, { region })))[0]?.repository;
    assert.equal(at('eu-west-1'), '123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app');
    assert.equal(at('us-gov-west-1'), '123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/team/app');
    assert.equal(at('cn-north-1'), '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app');
    assert.equal(at('cn-northwest-1'), '123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn/team/app');
    assert.equal(at('eusc-de-east-1'), '123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu/team/app');
    assert.equal(at('us-iso-east-1'), '123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov/team/app');
    assert.equal(at('us-isob-east-1'), '123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov/team/app');
    assert.equal(at('us-isof-south-1'), '123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov/team/app');
    assert.equal(at('eu-isoe-west-1'), '123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk/team/app');
  });

  it('refuses accounts and regions that are none: the host would be somebody else', () => {
    for (const event of [
      { account: '12345678901' },
      { account: '1234567890123' },
      { account: 'evil.example.org/' },
      { account: undefined },
      { account: 123456789012 },
      { region: 'us-west-2.evil.example.org' },
      { region: 'evil.example.org/us-west-2' },
      { region: 'US-WEST-2' },
      { region: 'west' },
      { region: null },
    ]) {
      assert.throws(() => parseWith(receiver, pushed({}, event)), { name: 'Problem', status: 400 }, JSON.stringify(event));
    }
  });

  it('ignores other actions, failures, pushes by digest and what is no image', () => {
    for (const event of [
      pushed({ 'action-type': 'DELETE' }),
      pushed({ result: 'FAILURE' }),
      pushed({ 'image-tag': '' }),
      pushed({ 'image-tag': undefined }),
      pushed({ 'image-tag': digest }),
      pushed({}, { 'detail-type': 'ECR Image Scan' }),
      pushed({}, { source: 'aws.s3' }),
      pushed({
        'manifest-media-type': 'application/vnd.oci.image.manifest.v1+json',
        'artifact-media-type': 'application/vnd.cncf.helm.config.v1+json',
      }),
    ]) {
      const parsed = parseWith(receiver, event);
      assert.deepEqual(parsed.pushes, []);
      assert.ok(parsed.ignored);
    }
  });

  it('takes images whose media types are told, and an index, which has no config', () => {
    for (const [manifest, artifact] of [
      ['application/vnd.docker.distribution.manifest.v2+json', 'application/vnd.docker.container.image.v1+json'],
      ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.config.v1+json'],
      ['application/vnd.oci.image.index.v1+json', 'application/vnd.example'],
      ['application/vnd.oci.image.index.v1+json', ''],
    ]) {
      const event = pushed({ 'manifest-media-type': manifest, 'artifact-media-type': artifact });
      assert.deepEqual(imagesOf(parseWith(receiver, event)), [image], manifest);
    }
  });

  it('takes a list, each event with its own id, and leaves what is none', () => {
    const second = pushed({ 'image-tag': 'v2' }, { id: '85fc3613-e913-7fc4-a80c-a3753e4aa9ae' });
    const parsed = parseWith(receiver, [null, 'text', pushed({ 'action-type': 'DELETE' }), pushed(), second]);
    assert.deepEqual(imagesOf(parsed), [image, { ...image, tag: 'v2' }]);
    assert.deepEqual(
      parsed.pushes.map(({ deliveryId }) => deliveryId),
      ['13cde686-328b-6117-af20-0e5566167482', '85fc3613-e913-7fc4-a80c-a3753e4aa9ae'],
    );
    assert.equal(parseWith(receiver, []).ignored, 'nothing was pushed');
  });

  it('gives a digest only where there is one', () => {
    assert.equal(imagesOf(parseWith(receiver, pushed({ 'image-digest': 'sha256:7f5b2640' })))[0]?.digest, null);
  });

  for (const { name, headers, raw, images, status } of vectorsOf('cloudevents').filter((vector) =>
    vector.name.startsWith('ecr-'),
  )) {
    it(`takes exactly the listed images from the CloudEvent ${name}`, () => {
      const parse = () => parseWith(receiver, JSON.parse(raw), { headers: { 'content-type': headers['Content-Type'] } });
      if (status !== undefined) return assert.throws(parse, { name: 'Problem', status });
      assert.deepEqual(imagesOf(parse()), images);
    });
  }

  it('ignores CloudEvents of others', () => {
    const event = {
      specversion: '1.0',
      type: 'com.example.container.push',
      source: 'https://a.example',
      subject: 'a:b',
      data: {},
    };
    assert.equal(parseWith(receiver, event).ignored, 'expected an event of Amazon ECR');
  });

  it('refuses what is no event', () => {
    for (const body of [null, 'text', 1, {}, [{}], { detail: {} }, { source: 'aws.ecr' }]) {
      assert.throws(() => parseWith(receiver, body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
  });

  describe('with the secret in Authorization', () => {
    for (const scheme of ['', 'Bearer ', 'bearer ']) {
      describe(`as '${scheme}SECRET'`, () =>
        itRotatesItsSecret({
          open: (secrets, context) => ecrSource.open({ ecr: { secrets } }, context),
          prove: (secret) => ({ authorization: `${scheme}${secret}` }),
          worthless: [{ authorization: 'Basic secret-of-today' }, { 'x-api-key': 'secret-of-today' }],
        }));
    }
  });

  describe('with the secret in a header of its own', () => {
    itRotatesItsSecret({
      open: (secrets, context) => ecrSource.open({ ecr: { secrets, header: 'X-Api-Key' } }, context),
      prove: (secret) => ({ 'x-api-key': secret }),
      worthless: [{ authorization: 'Bearer secret-of-today' }, { authorization: 'secret-of-today' }],
    });

    it('says in which header it was expected', async () => {
      const named = only(
        ecrSource.open({ ecr: { secrets: ['env:SECRET'], header: 'X-Api-Key' } }, contextOf({ SECRET: 'secret' })),
      );
      assert.match(named.authenticationAdvice, /header X-Api-Key/);
      assert.equal(await isAuthentic(named, { headers: { 'x-api-key': 'secret' } }), true);
    });
  });

  it('refuses more events than anybody sends at once, before it looks at them', () => {
    const other = pushed({ 'action-type': 'DELETE' });
    assert.ok(parseWith(receiver, Array(1000).fill(other)).ignored);
    assert.throws(() => parseWith(receiver, Array(1001).fill(other)), { name: 'Problem', status: 400, message: /at most 1000/ });
  });

  itSurvivesOddBodies(receiver, [{ whole: pushed() }, { whole: [pushed()] }]);
});
