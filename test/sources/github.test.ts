import assert from 'node:assert/strict';
import { Problem } from '../../src/http/problem.ts';
import { githubSource } from '../../src/sources/github/index.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { contextOf, isAuthentic, only, type ParsedPushes, parseWith } from '../api/support/receivers.ts';
import { githubSignature, smallestGithubEvent, type Vector, vectorsOf } from '../api/support/vectors.ts';

const receiver = only(githubSource.open({ github: { secrets: ['env:NEW', 'env:OLD'] } }, contextOf({ NEW: 'new', OLD: 'old' })));

describe('the GitHub receiver', () => {
  for (const vector of vectorsOf('github')) {
    it(`takes exactly the listed images from ${vector.name}`, () => {
      if (vector.status === undefined) assert.deepEqual(imagesOf(parseVector(vector)), vector.images);
      else assert.throws(() => parseVector(vector), { name: 'Problem', status: vector.status });
    });
  }

  it('takes the smallest documented form: no owner, no package URL, a digest that is none', () => {
    const [push, ...others] = parse('registry_package', smallestGithubEvent).pushes;
    assert.deepEqual(others, []);
    assert.deepEqual(push, {
      source: 'github',
      deliveryId: '72d3162e-cc78-11e3-81ab-4c9367dc0958',
      repository: 'ghcr.io/pitchconnect/fogis-api-client-python',
      tag: 'latest',
      sourceRepository: 'PitchConnect/fogis-api-client-python',
      proven: { by: 'forge', fields: ['sourceRepository'] },
      receivedAt: '2026-01-02T03:04:05.000Z',
    });
  });

  it('knows the commit from target_oid, and else from the label of the image', () => {
    const commit = '68d2fd4969f35b650b5863da9220a2561ced6f7b';
    const label = { labels: { all_labels: { 'org.opencontainers.image.revision': commit } } };
    assert.equal(parse('package', published({ target_oid: commit })).pushes[0]?.commit, commit);
    assert.equal(parse('package', published({ target_oid: '', container_metadata: label })).pushes[0]?.commit, commit);
    // A label is what the image says of itself.
    const { proven } = parse('package', { ...published({}), sender: { login: 'ann-gh', id: 583_231 } }).pushes[0] ?? {};
    assert.deepEqual([proven?.actorOf, proven?.actorId], ['github', 583_231]);
    const isProven = (version: object) =>
      parse('package', published(version)).pushes[0]?.proven?.fields.includes('commit') ?? false;
    assert.equal(isProven({ target_oid: commit }), true);
    assert.equal(isProven({ target_oid: '', container_metadata: label }), false);
    assert.equal(parse('package', published({ target_oid: 'main\nLandfall-Rollout: x' })).pushes[0]?.commit, undefined);
  });

  it('knows who pushed, unless the name could pretend to be something else', () => {
    const event = published({});
    assert.equal(parse('package', { ...event, sender: { login: 'dependabot[bot]' } }).pushes[0]?.actor, 'dependabot[bot]');
    assert.equal(parse('package', { ...event, sender: { login: 'ann\nCo-authored-by: eve' } }).pushes[0]?.actor, undefined);
    assert.equal(parse('package', { ...event, sender: { login: 'ann\u202Eeve' } }).pushes[0]?.actor, undefined);
  });

  it('keeps a well-formed digest', () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const event = published({ container_metadata: { tag: { name: 'latest', digest } } });
    assert.equal(parse('package', event).pushes[0]?.digest, digest);
  });

  it('follows an updated version only where the event names the tag', () => {
    const event = { ...published({ container_metadata: { tag: { name: 'stable' } } }), action: 'updated' };
    assert.deepEqual(imagesOf(parse('package', event)), [{ repository: 'ghcr.io/team/app', tag: 'stable', digest: null }]);
  });

  it('keeps the host of a GitHub Enterprise Server and never reads a bare name as an image of Docker Hub', () => {
    const at = (package_url: string) => () => parse('package', published({ package_url })).pushes[0]?.repository;
    assert.equal(at('containers.ghes.example/Team/App:v1')(), 'containers.ghes.example/team/app');
    assert.equal(at('https://ghcr.io/team/app@sha256:00')(), 'ghcr.io/team/app');
    assert.throws(at('team/app:v1'), { name: 'Problem', status: 400 });
  });

  it('ignores other events, and says which it expects', () => {
    const parsed = parse('issues', { action: 'opened' });
    assert.deepEqual(parsed.pushes, []);
    assert.match(parsed.ignored ?? '', /package or registry_package/);
  });

  it('refuses a body that is no object, and a request without an event', () => {
    assert.throws(() => parse('package', [1]), { name: 'Problem', status: 400 });
    assert.throws(() => parse('package', null), { name: 'Problem', status: 400 });
    assert.throws(() => parseWith(receiver, {}), Problem);
  });

  it('makes up a delivery id where the header is no GUID', () => {
    const headers = { 'x-github-event': 'package', 'x-github-delivery': '"},{"forged":"line' };
    const { deliveryId } = parseWith(receiver, published({}), { headers });
    assert.match(deliveryId, /^[0-9a-f-]{36}$/);
  });

  it('accepts a signature by any of its secrets, and nothing else', async () => {
    const body = Buffer.from('{"zen":"å"}');
    const verdict = (given: Record<string, string>): Promise<boolean> => {
      const headers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]));
      return isAuthentic(receiver, { headers }, body);
    };
    assert.equal(await verdict(githubSignature('new', body)), true);
    assert.equal(await verdict(githubSignature('old', body)), true);
    assert.equal(await verdict(githubSignature('other', body)), false);
    assert.equal(await verdict(githubSignature('new', '{"zen":"a"}')), false);
    assert.equal(await verdict({}), false);
    for (const value of ['', 'sha256=', 'sha256=zz', `sha1=${'0'.repeat(40)}`, `sha256=${'0'.repeat(64)}`, `${'0'.repeat(64)}`]) {
      assert.equal(await verdict({ 'X-Hub-Signature-256': value }), false, value);
    }
  });

  it('verifies with a secret that was changed meanwhile, and with none that is empty by now', async () => {
    const body = '{"zen":"a"}';
    const env: Record<string, string> = { SECRET: 'first' };
    const [rotated] = openGithub(['env:SECRET'], env);
    assert.ok(rotated !== undefined);
    const signed = (secret: string): Promise<boolean> => {
      const value = githubSignature(secret, body)['X-Hub-Signature-256'];
      return isAuthentic(rotated, { headers: { 'x-hub-signature-256': value } }, body);
    };
    assert.equal(await signed('first'), true);
    env.SECRET = 'second';
    assert.deepEqual([await signed('first'), await signed('second')], [false, true]);
    env.SECRET = ' ';
    await assert.rejects(signed(' '), /none that is empty/);
  });

  it('does not start without a secret, or with an empty one', () => {
    const none = /receivers\.github\.secrets: expected at least one secret/;
    assert.throws(() => openGithub(['env:NOT_SET?'], {}), none);
    assert.throws(() => openGithub(['env:GOOD', 'env:BLANK'], { GOOD: 'good', BLANK: ' ' }), /none that is empty/);
  });
});

function openGithub(secrets: readonly string[], env: Record<string, string>): readonly Receiver[] {
  return githubSource.open({ github: { secrets } }, contextOf(env));
}

function parse(event: string, body: unknown): ParsedPushes {
  const headers = { 'x-github-event': event, 'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958' };
  return parseWith(receiver, body, { headers });
}

function parseVector({ headers, raw }: Vector): ParsedPushes {
  return parse(headers['X-GitHub-Event'] ?? '', JSON.parse(raw));
}

function published(version: object): object {
  return {
    action: 'published',
    package: {
      name: 'App',
      package_type: 'CONTAINER',
      owner: { login: 'Team' },
      package_version: { version: 'latest', ...version },
    },
  };
}

function imagesOf({ pushes }: ParsedPushes): unknown {
  return pushes.map(({ repository, tag, digest }) => ({ repository, tag, digest: digest ?? null }));
}
