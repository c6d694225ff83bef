import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createResolve } from '../../src/activities/resolve.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { TagPolicy } from '../../src/domain/tag-policy.ts';
import { failureOf, runActivity } from '../support/activity.ts';
import { startFaultyProxy } from '../support/faulty-proxy.ts';
import { type HttpServer, startHttpServer } from '../support/http-server.ts';
import { deleteManifest, pushArtifact, pushImage, pushIndex, sha256 } from '../support/images.ts';
import { planOf, pushOf } from '../support/plans.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../support/registry-client.ts';

const exact = (...tags: string[]): TagPolicy => ({ kind: 'exact', tags: tags.map(tagOf) });
const versions: TagPolicy = { kind: 'semver', range: '>=1.0.0 <2.0.0' };
const builds: TagPolicy = { kind: 'pattern', pattern: '^main-(\\d+)$', order: 'numerical' };
const newest: TagPolicy = { kind: 'pattern', pattern: '^main-.*$', order: 'newest' };
const longAgo = { scheduledTimestampMs: Date.now() - 121_000 };

describe('looking tags up', () => {
  let registry: Registry;
  const { resolveTags: lookUpTags } = createResolve({ registry: registryClient() });
  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry.stop());

  /** Pushes one image for each tag, each different from all others, made one day after the one before it. */
  async function push(name: string, ...tags: string[]): Promise<Record<string, Digest>> {
    const digests: Record<string, Digest> = {};
    for (const [day, tag] of tags.entries()) {
      const created = new Date(Date.UTC(2026, 0, 1 + day)).toISOString();
      digests[tag] = await pushImage(registry, name, tag, { labels: { name, tag }, created });
    }
    return digests;
  }

  function inputOf(name: string, tags: TagPolicy, pushed: string, manual = false, at: { readonly host: string } = registry) {
    const repository = repositoryAt(at, name);
    const push = pushOf({ repository, tag: tagOf(pushed), digest: '' as Digest });
    return { plan: planOf({ repository, tags }), push, ...(manual && { manual }) };
  }

  /** What is found, by tag. */
  async function find(
    input: ReturnType<typeof inputOf> & { readonly moved?: boolean },
    info = {},
  ): Promise<Record<string, Digest>> {
    const outcome = await runActivity(lookUpTags, input, info);
    assert.ok(outcome.kind === 'found', JSON.stringify(outcome));
    for (const image of outcome.images) assert.equal(image.repository, input.plan.repository);
    return Object.fromEntries(outcome.images.map(({ tag, digest }) => [tag, digest]));
  }

  it('finds every exact tag that is there, whichever was pushed, and leaves the others out', async () => {
    const { latest, stable } = await push('team/exact', 'latest', 'stable', 'edge');
    const policy = exact('latest', 'next', 'stable');
    assert.deepEqual(await find(inputOf('team/exact', policy, 'latest')), { latest, stable });
    assert.deepEqual(await find(inputOf('team/exact', policy, 'edge')), { latest, stable });
  });

  it('finds only the tag that an operator asked for, followed or not', async () => {
    const { edge } = await push('team/asked', 'latest', 'edge');
    assert.deepEqual(await find(inputOf('team/asked', exact('latest'), 'edge', true)), { edge });
  });

  it('finds the greatest version within the range, however small the pushed one is', async () => {
    const digests = await push('team/semver', '1.10.0', '1.9.0', '1.2.0', '2.0.0', 'latest', '1.11.0-rc.1');
    assert.deepEqual(await find(inputOf('team/semver', versions, '1.2.0')), { '1.10.0': digests['1.10.0'] });
  });

  it('finds the greatest number or the last name of a pattern', async () => {
    const digests = await push('team/pattern', 'main-9', 'main-100', 'main-20', 'other-300');
    assert.deepEqual(await find(inputOf('team/pattern', builds, 'main-9')), { 'main-100': digests['main-100'] });
    const names: TagPolicy = { kind: 'pattern', pattern: '^main-.*$', order: 'alphabetical' };
    assert.deepEqual(await find(inputOf('team/pattern', names, 'main-20')), { 'main-9': digests['main-9'] });
  });

  it('finds the newest image by its creation time, also in an index, whatever its name', async () => {
    const digests = await push('team/newest', 'main-c', 'main-b', 'main-a', 'other');
    assert.deepEqual(await find(inputOf('team/newest', newest, 'main-c')), { 'main-a': digests['main-a'] });
    const images = ['linux/amd64', 'linux/arm64'].map((platform) => ({ platform, created: '2026-06-01T00:00:00Z' }));
    const { digest } = await pushIndex(registry, 'team/newest', 'main-0', images, { attestations: true });
    assert.deepEqual(await find(inputOf('team/newest', newest, 'main-c')), { 'main-0': digest });
  });

  it('is not kept from the newest image by a tag that is no image or lacks a part', async () => {
    const digests = await push('team/mixed', 'main-1', 'main-2');
    await pushArtifact(registry, 'team/mixed', 'main-sbom', { layers: [['text/plain', 'x']] });
    const { digest, children } = await pushIndex(registry, 'team/mixed', 'main-sparse', [{ created: '2027-01-01T00:00:00Z' }]);
    await deleteManifest(registry, 'team/mixed', children[0] ?? digest);
    assert.deepEqual(await find(inputOf('team/mixed', newest, 'main-1')), { 'main-2': digests['main-2'] });
    const failure = await failureOf(runActivity(lookUpTags, inputOf('team/mixed', newest, 'main-sparse')));
    assert.equal(failure.type, 'NotInRegistry', 'expected the pushed tag to be looked for again');
  });

  /** In front of the registry: what one tag or digest points to was changed, and the digest is named for GET alone. */
  async function startBreaking(broken: string, content = 'junk', digest = sha256(content)): Promise<HttpServer> {
    return startHttpServer(async (request, response) => {
      if (request.url?.endsWith(`/manifests/${broken}`)) {
        return response.writeHead(200, request.method === 'GET' ? { 'docker-content-digest': digest } : {}).end(content);
      }
      const headers = { accept: request.headers.accept ?? '' };
      const answer = await fetch(`${registry.url}${request.url}`, { method: request.method ?? 'GET', headers });
      return response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()));
    });
  }

  it('is not kept from the other tags by a broken one, and refuses only where there is no other', async () => {
    const digests = await push('team/broken', 'latest', '1.0.0', '1.1.0', 'main-1', 'main-2');
    for (const [broken, policy, pushed, found] of [
      ['stable', exact('latest', 'stable'), 'latest', 'latest'],
      ['stable', exact('latest', 'stable'), 'stable', 'latest'],
      ['1.1.0', versions, '1.1.0', '1.0.0'],
      ['main-2', newest, 'main-1', 'main-1'],
    ] as const) {
      const server = await startBreaking(broken);
      try {
        const input = inputOf('team/broken', policy, pushed, false, server);
        assert.deepEqual(await find(input), { [found]: digests[found] }, broken);
        const asked = inputOf('team/broken', policy, broken, true, server);
        assert.equal((await failureOf(runActivity(lookUpTags, asked))).type, 'NotAnImage');
      } finally {
        await server.stop();
      }
    }
  });

  it('is not kept from the newest image by one whose manifest was changed', async () => {
    const digests = await push('team/changed', 'main-1', 'main-2');
    const server = await startBreaking(digests['main-2'] ?? '', '{"schemaVersion":2}');
    try {
      const input = inputOf('team/changed', newest, 'main-2', false, server);
      const failure = await failureOf(runActivity(lookUpTags, input));
      assert.deepEqual([failure.type, failure.nonRetryable, failure.nextRetryDelay], ['DigestMismatch', false, '5 seconds']);
      assert.deepEqual(await find(input, longAgo), { 'main-1': digests['main-1'] });
      const other = inputOf('team/changed', newest, 'main-1', false, server);
      assert.deepEqual(await find(other), { 'main-1': digests['main-1'] });
    } finally {
      await server.stop();
    }
  });

  it('goes by the content once a rollout has seen that the registry names another digest for HEAD', async () => {
    const { latest } = await push('team/head', 'latest');
    const proxy = await startFaultyProxy(registry.url, {
      faults: [1, 2].map(() => ({ kind: 'status', status: 200, headers: { 'docker-content-digest': sha256('stale') } }) as const),
      applies: ({ method }) => method === 'HEAD',
    });
    try {
      const input = inputOf('team/head', exact('latest'), 'latest', false, proxy);
      assert.deepEqual(await find(input), { latest: sha256('stale') });
      assert.deepEqual(await find({ ...input, moved: true }), { latest });
    } finally {
      await proxy.stop();
    }
  });

  it('lets others work while it looks through fifty thousand tags', async () => {
    const tags = Array.from({ length: 50_000 }, (_, build) => `main-${build}`);
    const server = await startHttpServer(({ url }, response) => {
      if (url?.includes('/tags/')) response.end(JSON.stringify({ tags }));
      else response.setHeader('docker-content-digest', sha256('image')).end();
    });
    const delays = monitorEventLoopDelay({ resolution: 10 });
    try {
      const input = inputOf('team/many', builds, 'main-7', false, server);
      delays.enable();
      assert.deepEqual(await find(input), { 'main-49999': sha256('image') });
      delays.disable();
      assert.ok(delays.max / 1e6 < 1_000, `the event loop stood still for ${delays.max / 1e6} ms`);
    } finally {
      await server.stop();
    }
  });

  it('asks for the creation time of a digest only once', async () => {
    await push('team/remembered', 'main-1', 'main-2', 'main-3');
    const proxy = await startFaultyProxy(registry.url);
    try {
      const input = inputOf('team/remembered', newest, 'main-1', false, proxy);
      const { resolveTags: freshLookUp } = createResolve({ registry: registryClient() });
      const first = await runActivity(freshLookUp, input);
      const isBodyOfImage = ({ method, path }: { method: string; path: string }) => method === 'GET' && !path.includes('/tags/');
      assert.equal(proxy.requests.filter(isBodyOfImage).length, 6);
      assert.deepEqual(await runActivity(freshLookUp, input), first);
      assert.equal(proxy.requests.filter(isBodyOfImage).length, 6);
    } finally {
      await proxy.stop();
    }
  });

  it('looks again for a pushed tag that is not there yet, for two minutes', async () => {
    await push('team/late', '1.0.0', 'latest', 'main-1');
    const inputs = [
      inputOf('team/late', exact('latest', 'next'), 'next'),
      inputOf('team/late', versions, '1.5.0'),
      inputOf('team/late', newest, 'main-2'),
      inputOf('team/late', exact('latest'), 'gone', true),
    ];
    for (const input of inputs) {
      const failure = await failureOf(runActivity(lookUpTags, input));
      assert.equal(failure.type, 'NotInRegistry');
      assert.equal(failure.nonRetryable, false);
      assert.equal(failure.nextRetryDelay, '5 seconds');
    }
  });

  it('goes on with what is there when the pushed tag stays away, and gives up where that is nothing', async () => {
    const { latest, ...rest } = await push('team/away', 'latest', '1.0.0');
    assert.deepEqual(await find(inputOf('team/away', exact('latest', 'next'), 'next'), longAgo), { latest });
    assert.deepEqual(await find(inputOf('team/away', versions, '1.5.0'), longAgo), rest);
    const failure = await failureOf(runActivity(lookUpTags, inputOf('team/away', exact('next'), 'next'), longAgo));
    assert.equal(failure.type, 'NotInRegistry');
    assert.equal(failure.nonRetryable, true);
  });

  it('does not wait for a pushed version that is smaller than one that is there', async () => {
    const digests = await push('team/smaller', '1.5.0');
    assert.deepEqual(await find(inputOf('team/smaller', versions, '1.4.0')), digests);
  });

  it('finds nothing where nothing is followed', async () => {
    await push('team/unfollowed', 'latest');
    assert.deepEqual(await find(inputOf('team/unfollowed', versions, 'latest')), {});
  });

  it('is answered with a time to wait for where the registry limits us', async () => {
    const limit = { kind: 'status', status: 429, headers: { 'retry-after': '7' } } as const;
    const proxy = await startFaultyProxy(registry.url, { faults: [limit] });
    try {
      const outcome = await runActivity(lookUpTags, inputOf('team/exact', exact('latest'), 'latest', false, proxy));
      assert.equal(outcome.kind, 'rate-limited');
    } finally {
      await proxy.stop();
    }
  });
});
