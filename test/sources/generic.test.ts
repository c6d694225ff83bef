import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import type { ReceivedPush } from '../../src/api/webhooks/plan-starts.ts';
import { genericSource } from '../../src/sources/generic/index.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { startIngress } from '../api/support/ingress.ts';
import { contextOf, imagesOf, isAuthentic, type ParsedPushes, parseWith, receivedAt } from '../api/support/receivers.ts';

const schema = genericSource.settings(() => undefined);
const digest = `sha256:${'b'.repeat(64)}`;
const guid = '72d3162e-cc78-11e3-81ab-4c9367dc0958';

/** By the configuration, as a user writes it. */
function receiverOf(sender: object, env: Record<string, string> = { SECRET: 'new', OLD: 'old' }): Receiver {
  const generic = schema.parse({ acme: { secrets: ['env:SECRET', 'env:OLD?'], ...sender } });
  const [receiver] = genericSource.open({ generic }, contextOf(env));
  assert.ok(receiver !== undefined);
  return receiver;
}

const plain = { repository: '/image/name', tag: '/image/tag' };

function parse(push: object, body: unknown, more: object = {}): ParsedPushes {
  return parseWith(receiverOf({ push, ...more }), body);
}

function imagesIn(push: object, body: unknown, more: object = {}) {
  return imagesOf(parse(push, body, more)).map(
    ({ repository, tag, digest }) => `${repository}:${tag}${digest ? `@${digest}` : ''}`,
  );
}

describe('the generic receiver', () => {
  it('finds a push where the pointers say', () => {
    const push = {
      ...plain,
      digest: '/image/digest',
      commit: '/git/sha',
      sourceRepository: '/git/repo~1name',
      actor: '/by/0/name',
      delivery: '/id',
    };
    const body = {
      id: guid,
      image: { name: 'Registry.example.org/team/app', tag: 'v1', digest },
      git: { sha: 'ABCDEF1', 'repo/name': 'team/app' },
      by: [{ name: 'ann' }],
    };
    assert.deepEqual(parse(push, body), {
      event: 'push',
      deliveryId: guid,
      pushes: [
        {
          source: 'generic/acme',
          deliveryId: guid,
          receivedAt,
          repository: 'registry.example.org/team/app',
          digest,
          commit: 'abcdef1',
          sourceRepository: 'team/app',
          actor: 'ann',
          tag: 'v1',
        },
      ],
    });
  });

  it('has one path and one name in the audit for each sender', () => {
    const sender = { secrets: 'env:SECRET', push: plain };
    const receivers = genericSource.open({ generic: schema.parse({ a: sender, 'b-2': sender }) }, contextOf({ SECRET: 's' }));
    assert.deepEqual(
      receivers.map(({ source, path }) => [source, path]),
      [
        ['generic/a', '/webhook/generic/a'],
        ['generic/b-2', '/webhook/generic/b-2'],
      ],
    );
  });

  it('puts the registry before a repository that has none', () => {
    const at = (name: unknown, registry = 'ghcr.io') => imagesIn({ ...plain, registry }, { image: { name, tag: 'v1' } });
    for (const name of ['team/app', '/team/app/', 'ghcr.io/team/app', 'https://GHCR.io/Team/App']) {
      assert.deepEqual(at(name), ['ghcr.io/team/app:v1'], name);
    }
    assert.deepEqual(at('nginx', 'docker.io'), ['docker.io/library/nginx:v1']);
    assert.deepEqual(at('team/app', 'localhost:5001'), ['localhost:5001/team/app:v1']);
    for (const name of ['', '/', 'a b', 7, null, {}, 'a/../b', `x/${'y'.repeat(300)}`]) {
      assert.throws(() => at(name), { status: 400, message: /at \/image\/name the repository/ }, String(name));
    }
  });

  it('never takes a name without a registry for one of Docker Hub', () => {
    assert.throws(() => imagesIn(plain, { image: { name: 'team/app', tag: 'v1' } }), { status: 400, message: /push\.registry/ });
  });

  it('takes tag and digest from a whole reference where no pointer leads to a tag', () => {
    const push = { repository: '/ref' };
    assert.deepEqual(imagesIn(push, { ref: `ghcr.io/team/app:V1@${digest}` }), [`ghcr.io/team/app:V1@${digest}`]);
    assert.deepEqual(imagesIn({ repository: '/ref', tag: '/tag' }, { ref: 'ghcr.io/team/app:v1', tag: 'v2' }), [
      'ghcr.io/team/app:v2',
    ]);
    assert.deepEqual(parse(push, { ref: 'ghcr.io/team/app:not a tag' }).pushes, []);
  });

  it('says that something was pushed where the sender never names a tag', () => {
    const [push] = parse({ repository: 'ghcr.io/team/app', digest: '/digest' }, { digest }).pushes;
    assert.deepEqual([push?.repository, push?.tag, push?.digest], ['ghcr.io/team/app', undefined, undefined]);
  });

  it('takes several tags of one push', () => {
    const at = (tag: unknown) => imagesIn({ ...plain, repository: 'ghcr.io/team/app' }, { image: { tag } });
    assert.deepEqual(at(['v1', 'latest', 'v1', '', '-no']), ['ghcr.io/team/app:v1', 'ghcr.io/team/app:latest']);
    for (const none of [undefined, null, '', [], ['']]) assert.deepEqual(at(none), []);
    for (const wrong of [7, {}, true, [7], Array(101).fill('v1')])
      assert.throws(() => at(wrong), { status: 400, message: /at \/image\/tag/ });
  });

  it('takes several pushes of a list, and none of them is lost for another', () => {
    const push = { list: '/events', repository: '/name', tag: '/tag', registry: 'ghcr.io', when: { '/action': 'push' } };
    const item = (name: unknown, tag = 'v1', action = 'push') => ({ name, tag, action });
    assert.deepEqual(
      imagesIn(push, { events: [item('a'), item(7), item('b', ''), null, item('c', 'v2'), item('d', 'v1', 'pull')] }),
      ['ghcr.io/a:v1', 'ghcr.io/c:v2'],
    );
    assert.match(parse(push, { events: [item('a', 'v1', 'pull')] }).ignored ?? '', /expected at \/action push/);
    assert.match(parse(push, { events: [] }).ignored ?? '', /empty/);
    assert.throws(() => parse(push, { events: [item(7)] }), { status: 400 });
    for (const events of [undefined, null, {}, 'text', Array(101).fill(item('a'))]) {
      assert.throws(() => parse(push, { events }), { status: 400, message: /at \/events a list of at most 100/ });
    }
    assert.deepEqual(imagesIn({ list: '', repository: '' }, ['ghcr.io/a/b:v1', 'ghcr.io/a/b:v2']), [
      'ghcr.io/a/b:v1',
      'ghcr.io/a/b:v2',
    ]);
  });

  it('ignores what does not fit the conditions, and says which', () => {
    const when = { '/event': ['push', 'retag'], '/ok': true, '/deleted': null };
    const at = (body: object) => parse(plain, { image: { name: 'ghcr.io/a/b', tag: 'v1' }, ...body }, { when });
    assert.equal(at({ event: 'retag', ok: true }).pushes.length, 1);
    assert.equal(at({ event: 'push', ok: true, deleted: null }).pushes.length, 1);
    assert.match(at({ event: 'pull', ok: true }).ignored ?? '', /^expected at \/event push or retag$/);
    assert.match(at({ event: 'push', ok: 'true' }).ignored ?? '', /^expected at \/ok true$/);
    assert.match(at({ event: 'push', ok: true, deleted: '2026' }).ignored ?? '', /^expected at \/deleted null$/);
    assert.match(at({ event: ['push'], ok: true }).ignored ?? '', /\/event/);
  });

  it('keeps ids of deliveries apart from those of other senders, and makes one up where there is none', () => {
    const id = (delivery: unknown) => parse({ repository: 'ghcr.io/a/b', delivery: '/id' }, { id: delivery }).deliveryId;
    assert.deepEqual([id(guid), id('17'), id(17)], [guid, 'acme:17', 'acme:17']);
    for (const none of [undefined, 1.5, '', 'a b', 'x'.repeat(200), {}]) assert.match(id(none), /^[0-9a-f-]{36}$/);
    const several = parse({ list: '/l', repository: '/r' }, { l: [{ r: 'ghcr.io/a/b:v1' }, { r: 'ghcr.io/a/b:v2' }] });
    assert.equal(new Set(several.pushes.map(({ deliveryId }) => deliveryId)).size, 1);
  });

  it('knows its sender by a bearer token, a header or a signature, by any of the secrets', async () => {
    const body = '{"a":1}';
    const hex = (secret: string, algorithm = 'sha256') => createHmac(algorithm, secret).update(body).digest('hex');
    const ways: readonly (readonly [object, (secret: string) => Record<string, string>])[] = [
      [{}, (secret) => ({ authorization: `Bearer ${secret}` })],
      [{ header: 'X-Acme-Token' }, (secret) => ({ 'x-acme-token': secret })],
      [{ signature: { header: 'X-Acme-Signature' } }, (secret) => ({ 'x-acme-signature': hex(secret) })],
      [
        { signature: { header: 'X-Sig', prefix: 'sha1=', algorithm: 'sha1' } },
        (secret) => ({ 'x-sig': `sha1=${hex(secret, 'sha1')}` }),
      ],
    ];
    for (const [settings, proof] of ways) {
      const receiver = receiverOf({ push: plain, ...settings });
      const accepted = (headers: Record<string, string>) => isAuthentic(receiver, { headers }, body);
      const all = [proof('new'), proof('old'), proof('other'), proof(''), {}].map(accepted);
      assert.deepEqual(await Promise.all(all), [true, true, false, false, false], JSON.stringify(settings));
    }
    const near = receiverOf({ push: plain, networks: ['192.0.2.0/24'] });
    const headers = { authorization: 'Bearer new' };
    assert.equal(await isAuthentic(near, { headers, address: '192.0.2.9' }), true);
    assert.equal(await isAuthentic(near, { headers, address: '198.51.100.9' }), false);
  });

  it('takes a signature with its time only now, and only for that time', async () => {
    const body = '{"a":1}';
    const now = Date.parse('2026-01-02T03:04:05Z');
    const [receiver] = genericSource.open(
      {
        generic: {
          acme: { secrets: ['env:SECRET'], push: plain, signature: { header: 'X-Sig', timestamp: 'X-Time', maxAge: 60_000 } },
        },
      },
      { ...contextOf({ SECRET: 'new' }), now: () => now },
    );
    assert.ok(receiver);
    assert.match(receiver.authenticationAdvice, /the header X-Time with the time, and the header X-Sig/);
    const hex = (time: string) => createHmac('sha256', 'new').update(`${time}.${body}`).digest('hex');
    const isTaken = (time: string, signed = time) =>
      isAuthentic(receiver, { headers: { 'x-time': time, 'x-sig': hex(signed) } }, body);
    const seconds = now / 1000;
    for (const time of [`${seconds}`, `${seconds - 59}`, `${seconds + 59}`, `${now}`, '2026-01-02T03:04:05Z']) {
      assert.equal(await isTaken(time), true, time);
    }
    for (const time of [
      `${seconds - 61}`,
      `${seconds + 61}`,
      `${now - 61_000}`,
      '2026-01-01T03:04:05Z',
      '',
      'now',
      '-1',
      '1e9',
    ]) {
      assert.equal(await isTaken(time), false, time);
    }
    // What was signed an hour ago is not of now because its header says so.
    assert.equal(await isTaken(`${seconds}`, `${seconds - 3_600}`), false);
    const untimed = createHmac('sha256', 'new').update(body).digest('hex');
    assert.equal(await isAuthentic(receiver, { headers: { 'x-sig': untimed, 'x-time': `${seconds}` } }, body), false);
    assert.equal(await isAuthentic(receiver, { headers: { 'x-sig': untimed } }, body), false);
  });

  it('does not start without a secret', () => {
    assert.throws(() => receiverOf({ push: plain }, { SECRET: ' ' }), /receivers\.generic\.acme\.secrets: expected at least one/);
  });

  it('refuses settings that cannot work, and says where', () => {
    const sender = { secrets: 'env:SECRET', push: plain };
    const problems = (settings: unknown) => {
      const issues = schema.safeParse(settings).error?.issues ?? [];
      return JSON.stringify(issues);
    };
    assert.equal(problems({ acme: sender }), '[]');
    assert.match(problems({ 'Acme/..': sender }), /a name of small letters/);
    for (const pointer of ['image.name', 'x', '/a~2', '/__proto__/x', '/a/constructor', `/${'a'.repeat(400)}`]) {
      assert.match(problems({ acme: { ...sender, push: { ...plain, tag: pointer } } }), /expected a JSON pointer/, pointer);
      assert.match(
        problems({ acme: { ...sender, push: { ...plain, repository: pointer } } }),
        /expected a JSON pointer/,
        pointer,
      );
      assert.match(problems({ acme: { ...sender, when: { [pointer]: 'x' } } }), /expected a JSON pointer/, pointer);
    }
    assert.match(problems({ acme: { ...sender, header: 'X', signature: { header: 'Y' } } }), /either signature or header/);
    assert.match(problems({ acme: { ...sender, header: 'X: y' } }), /the name of a header/);
    assert.match(problems({ acme: { ...sender, signature: { header: 'X', algorithm: 'md5' } } }), /sha256/);
    assert.match(problems({ acme: { ...sender, networks: ['10.0.0.0/33'] } }), /expected a network/);
    assert.match(problems({ acme: { ...sender, mediaTypes: ['text/html'] } }), /JSON media type/);
    assert.equal(problems({ acme: { ...sender, mediaTypes: ['application/vnd.acme.v1+json'] } }), '[]');
    assert.match(problems({ acme: { ...sender, when: { '/a': { b: 1 } } } }), /expected a value or a list/);
    assert.match(problems({ acme: { secrets: 'env:SECRET', push: { tag: '/t' } } }), /repository/);
  });

  it('is reached under its name, with its proof, in its media types, and leaves no secret anywhere', async () => {
    const received: ReceivedPush[] = [];
    const push = { ...plain, list: '/events' };
    const ingress = await startIngress({
      receivers: { generic: schema.parse({ acme: { secrets: 'env:ACME', push, mediaTypes: ['application/vnd.acme+json'] } }) },
      env: { ACME: 'canary-acme-5d1e' },
      acceptPushes:
        () =>
        async ({ pushes }) => {
          received.push(...pushes);
          return { rollouts: [{ id: 'rollout:b', service: 'b', image: 'ghcr.io/a/b:v1' }], resolving: [] };
        },
    });
    try {
      const raw = JSON.stringify({ events: [{ image: { name: 'ghcr.io/a/b', tag: 'v1' } }] });
      const type = 'application/vnd.acme+json; charset=utf-8';
      const post = async (path: string, token: string, contentType = type) => {
        const headers = { 'Content-Type': contentType, Authorization: `Bearer ${token}` };
        const answer = await ingress.post(path, raw, headers);
        return [answer.status, answer.headers.get('www-authenticate')];
      };
      assert.deepEqual(await post('/webhook/generic/acme', 'canary-acme-5d1e'), [202, null]);
      assert.deepEqual(await post('/webhook/generic/acme', 'canary-wrong'), [401, 'Bearer realm="landfall"']);
      assert.deepEqual(await post('/webhook/generic/acme', 'canary-acme-5d1e', 'text/plain'), [415, null]);
      for (const path of ['/webhook/generic/other', '/webhook/generic', '/webhook/generic/acme/', '/webhook/generic/ACME']) {
        assert.deepEqual(await post(path, 'canary-acme-5d1e'), [404, null], path);
      }
      assert.deepEqual(
        received.map(({ source, tag }) => [source, tag]),
        [['generic/acme', 'v1']],
      );
      assert.deepEqual(
        ingress
          .audited()
          .map(({ source, outcome }) => `${source} ${outcome}`)
          .slice(0, 3),
        ['generic/acme accepted', 'generic/acme unauthenticated', 'generic/acme unsupported-media-type'],
      );
      assert.doesNotMatch(ingress.written(), /canary/);
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('either makes pushes of any JSON, or refuses it with 400', () => {
    const push = { list: '/l', repository: '/r', tag: '/t', digest: '/d', delivery: '/i', when: { '/w': 'x' } };
    const receiver = receiverOf({ push });
    const single = receiverOf({ push: { repository: '/0/r', tag: '/0/t', registry: 'ghcr.io' } });
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const item = { r: 'ghcr.io/a/b', t: 'v1', w: 'x', i: value, d: value };
        for (const [to, body] of [
          [receiver, value],
          [receiver, { l: value }],
          [receiver, { l: [{ ...item, r: value }, { ...item, t: value }, item] }],
          [single, value],
          [single, [{ r: value, t: 'v1' }]],
        ] as const) {
          try {
            for (const { tag } of parseWith(to, body).pushes) assert.equal(typeof tag, 'string');
          } catch (error) {
            assert.equal((error as { status?: number }).status, 400, String(error));
          }
        }
      }),
      { seed: 20261121, numRuns: 500 },
    );
  });
});
