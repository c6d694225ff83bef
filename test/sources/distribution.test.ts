import assert from 'node:assert/strict';
import { requireMediaType } from '../../src/http/body.ts';
import { distributionSource } from '../../src/sources/distribution/index.ts';
import { contextOf, imagesOf, isAuthentic, only, type ParsedPushes, parseWith } from '../api/support/receivers.ts';
import { vectorsOf } from '../api/support/vectors.ts';

const receiver = only(
  distributionSource.open({ distribution: { token: ['env:NEW', 'env:OLD'] } }, contextOf({ NEW: 'new', OLD: 'old' })),
);

describe('the distribution receiver', () => {
  for (const { name, raw, images } of vectorsOf('distribution')) {
    it(`takes exactly the listed images from ${name}`, () => {
      assert.deepEqual(imagesOf(parse(JSON.parse(raw))), images);
    });
  }

  it('takes several events of one request, each with its own id, and leaves the rest', () => {
    const parsed = parse({
      events: [pushed('1.0.0'), { ...pushed('1.0.1'), action: 'pull' }, 'no event', null, pushed('2.0.0')],
    });
    assert.deepEqual(
      parsed.pushes.map(({ tag }) => tag),
      ['1.0.0', '2.0.0'],
    );
    assert.equal(parsed.pushes[1]?.deliveryId, 'dddddddd-0000-4000-8000-000000000200');
    assert.equal(parsed.ignored, undefined);
  });

  // What it answers with 415, it gets again without end.
  it('takes the media types of version 2 and of version 3 of the registry', () => {
    for (const version of ['v1', 'v2']) {
      requireMediaType({ 'content-type': `application/vnd.docker.distribution.events.${version}+json` }, receiver);
    }
    requireMediaType({ 'content-type': 'application/json' }, receiver);
    assert.throws(() => requireMediaType({ 'content-type': 'text/plain' }, receiver), { status: 415 });
  });

  it('refuses more events than anybody sends at once, before it looks at them', () => {
    assert.ok(parse({ events: Array(10_000).fill({}) }).ignored);
    assert.throws(() => parse({ events: Array(10_001).fill({}) }), { name: 'Problem', status: 400, message: /at most 10000/ });
  });

  it('says why it starts nothing', () => {
    assert.match(parse({ events: [] }).ignored ?? '', /none of the events is the push of a tagged image/);
  });

  it('tells what every push and pull makes a registry say from what somebody may look for', () => {
    const routineIn = (...events: readonly object[]) => {
      const { routine, ignored } = receiver.parse({ headers: {}, query: new URLSearchParams(), body: { events } });
      return [routine, ignored];
    };
    const pulled = { ...pushed('1.0.0'), action: 'pull' };
    const layer = { action: 'push', target: { mediaType: 'application/octet-stream', repository: 'team/app' } };
    const only = 'pulls, mounts and layers, which start nothing';
    assert.deepEqual(routineIn(pulled, pulled, layer, { ...layer, action: 'mount' }), [{ pull: 2, blob: 1, mount: 1 }, only]);
    assert.deepEqual(routineIn(pulled, pushed('1.0.0')), [{ pull: 1 }, undefined]);
    const [routine, ignored] = routineIn(pulled, { ...pushed('1.0.0'), action: 'delete' });
    assert.deepEqual([routine, ignored], [{ pull: 1 }, 'none of the events is the push of a tagged image']);
  });

  it('names images after the host that was pushed to, and writes the port of a bare host name out', () => {
    const at = (host: string | undefined, url: string) =>
      parse({ events: [{ ...pushed('1.0.0', url), request: { host } }] }).pushes[0]?.repository;
    assert.equal(at('Registry.example:5000', ''), 'registry.example:5000/team/app');
    assert.equal(at('registry', 'http://registry/v2/team/app/manifests/x'), 'registry:80/team/app');
    assert.equal(at('registry', 'https://registry/v2/team/app/manifests/x'), 'registry:443/team/app');
    assert.equal(at('localhost', ''), 'localhost/team/app');
    assert.equal(at(undefined, 'https://registry.example/v2/team/app/manifests/x'), 'registry.example/team/app');
    assert.equal(at(undefined, 'not a URL'), undefined);
  });

  it('knows who pushed', () => {
    assert.equal(parse({ events: [{ ...pushed('1.0.0'), actor: { name: 'ci' } }] }).pushes[0]?.actor, 'ci');
  });

  it('refuses what is no envelope', () => {
    for (const body of [null, [], {}, { events: {} }, 'events', 1]) {
      assert.throws(() => parse(body), { name: 'Problem', status: 400 }, JSON.stringify(body));
    }
  });

  it('accepts any of its tokens as a bearer token, and nothing else', async () => {
    const verdict = (authorization?: string): Promise<boolean> =>
      isAuthentic(receiver, { headers: authorization === undefined ? {} : { authorization } });
    assert.equal(await verdict('Bearer new'), true);
    assert.equal(await verdict('bearer old'), true);
    for (const wrong of [undefined, '', 'Bearer', 'Bearer ', 'Bearer other', 'Bearer new old', 'Basic new', 'new', 'Bearer ne']) {
      assert.equal(await verdict(wrong), false, wrong);
    }
  });

  it('does not start without a token', () => {
    const open = () => distributionSource.open({ distribution: { token: ['env:EMPTY?'] } }, contextOf({ EMPTY: '' }));
    assert.throws(open, /receivers\.distribution\.token: expected/);
  });
});

function parse(body: unknown): ParsedPushes {
  return parseWith(receiver, body);
}

function pushed(tag: string, url = ''): object {
  return {
    id: `dddddddd-0000-4000-8000-000000000${tag.replaceAll('.', '')}`,
    action: 'push',
    target: {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      repository: 'team/app',
      tag,
      digest: `sha256:${'0'.repeat(64)}`,
      url,
    },
    request: { host: 'registry.example' },
  };
}
