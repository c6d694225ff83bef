import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createResolve } from '../../src/activities/resolve.ts';
import type { Digest, Repository } from '../../src/domain/image-reference.ts';
import type { TagPolicy } from '../../src/domain/tag-policy.ts';
import { StoredTags } from '../../src/platform/registry/stored-tags.ts';
import { failureOf, runActivity } from '../support/activity.ts';
import { type FaultyProxy, type SeenRequest, startFaultyProxy } from '../support/faulty-proxy.ts';
import { type HttpServer, startHttpServer } from '../support/http-server.ts';
import { deleteManifest, pushArtifact, pushImage, pushIndex, tag as retag, sha256 } from '../support/images.ts';
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
  let folder: string;
  const storedTags = (repository: Repository) => StoredTags.open(repository, { folder, log: console });
  const { resolveTags: lookUpTags } = createResolve({ registry: registryClient(), storedTags, plansFor: () => [] });
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-resolve-'));
    registry = await startRegistry();
  });
  after(async () => {
    await registry.stop();
    await rm(folder, { recursive: true });
  });

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

  /** In front of the registry: what is at one path was changed, and the digest is named for GET alone. */
  async function startBreaking(broken: string, content = 'junk', digest = sha256(content)): Promise<HttpServer> {
    return startHttpServer(async (request, response) => {
      if (request.url?.endsWith(`/${broken}`)) {
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

  it('is not kept from the newest image by one whose manifest or configuration was changed', async () => {
    const digests = await push('team/changed', 'main-1', 'main-2');
    const manifest = await registryClient().manifest(repositoryAt(registry, 'team/changed'), tagOf('main-2'));
    assert.ok(manifest?.kind === 'manifest');
    for (const [broken, content] of [
      ['main-2', '{"schemaVersion":2}'],
      [manifest.config.digest, '{"architecture":"none"}'],
    ] as const) {
      const server = await startBreaking(broken, content, manifest.digest);
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

  describe('for the newest image', () => {
    /** In front of the registry: what is asked for beside the list. */
    let proxy: FaultyProxy;
    let clock = Date.UTC(2026, 5, 1);
    const isAboutTags = ({ path }: SeenRequest) => !path.includes('/tags/');
    before(async () => {
      proxy = await startFaultyProxy(registry.url, { applies: isAboutTags });
    });
    after(() => proxy.stop());

    const many = (count: number) => Array.from({ length: count }, (_, build) => `main-${build}`);
    const pushLater = (name: string, tag: string, created = '2027-01-01T00:00:00Z') =>
      pushImage(registry, name, tag, { labels: { name, tag }, created });

    /** The tag that a process finds that has only just begun, and what it asked for: `HEAD main-7`. */
    async function look(name: string, pushed: string) {
      const { resolveTags } = createResolve({
        registry: registryClient(),
        storedTags,
        plansFor: () => [],
        now: () => new Date(clock),
      });
      const before = proxy.requests.length;
      const outcome = await runActivity(resolveTags, inputOf(name, newest, pushed, false, proxy));
      const asked = proxy.requests.slice(before).filter(isAboutTags);
      return {
        found: outcome.kind === 'found' ? outcome.images.map(({ tag }) => tag).join() : outcome.kind,
        asked: asked.map(({ method, path }) => `${method} ${path.slice(path.lastIndexOf('/') + 1)}`),
      };
    }

    it('asks twice for a tag that is new, ever, and not at all for one that is known and not the newest', async () => {
      const name = 'team/remembered';
      const digests = await push(name, ...many(40));
      const first = await look(name, 'main-7');
      assert.deepEqual([first.found, first.asked.length], ['main-39', 2 * 40]);
      assert.deepEqual(await look(name, 'main-7'), { found: 'main-39', asked: ['HEAD main-7', 'HEAD main-39'] });
      const digest = await pushLater(name, 'main-other');
      const second = await look(name, 'main-other');
      assert.deepEqual([second.found, second.asked.length, second.asked[0]], ['main-other', 2, 'GET main-other']);
      // An image that is known by another tag.
      await retag(registry, name, 'main-3', 'main-again');
      assert.deepEqual(await look(name, 'main-again'), { found: 'main-other', asked: ['GET main-again', 'HEAD main-other'] });
      // What it takes for the newest is away, or older by now.
      await deleteManifest(registry, name, digest);
      await retag(registry, name, 'main-0', 'main-39');
      const asked = ['HEAD main-1', 'HEAD main-39', 'HEAD main-38'];
      assert.deepEqual(await look(name, 'main-1'), { found: 'main-38', asked });
      assert.ok(digests['main-38']);
    });

    it('notices within a day that a tag moved of which nobody told, and asks for each tag once in that time', async () => {
      const name = 'team/moved';
      await push(name, ...many(30));
      assert.equal((await look(name, 'main-0')).found, 'main-29');
      await pushLater(name, 'main-5');
      const looks: Awaited<ReturnType<typeof look>>[] = [];
      for (let hour = 0; hour < 24; hour += 1) {
        clock += 60 * 60_000;
        looks.push(await look(name, 'main-0'));
      }
      assert.equal(looks.at(-1)?.found, 'main-5');
      const asked = looks.flatMap((one) => one.asked);
      for (const tag of many(30).slice(1, 29)) {
        const isAsked = asked.filter((line) => line === `HEAD ${tag}`).length;
        assert.ok(tag === 'main-5' ? isAsked >= 1 : isAsked === 1, `${tag}: ${isAsked}`);
      }
    });

    it('goes on after a limit with what it has learned', async () => {
      const name = 'team/limited';
      await push(name, ...many(30));
      const limit = { kind: 'status', status: 429, headers: { 'retry-after': '7' } } as const;
      proxy.next(...Array.from({ length: 30 }, () => ({ kind: 'pass' }) as const), limit);
      const first = await look(name, 'main-0');
      assert.equal(first.found, 'rate-limited');
      const second = await look(name, 'main-0');
      assert.equal(second.found, 'main-29');
      // Eight were under way; what was pushed is asked for each time.
      assert.ok(
        second.asked.length <= 2 * 30 + 2 - (first.asked.length - 8),
        `${first.asked.length}, then ${second.asked.length}`,
      );
    });
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
