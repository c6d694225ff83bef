import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { createSearch } from '../../src/activities/search/index.ts';
import type { SearchActivities } from '../../src/contracts/activities/pushes.ts';
import { createSealCodec } from '../../src/contracts/seal.ts';
import { resolveId, rolloutId, taskQueues } from '../../src/contracts/start-options.ts';
import type { SearchEntry } from '../../src/domain/audit.ts';
import { concurrently } from '../../src/domain/concurrently.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { memoryOf, type SearchMemory, type SearchOutcome } from '../../src/domain/search.ts';
import type { TagPolicy } from '../../src/domain/tag-policy.ts';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { StoredTags } from '../../src/platform/registry/stored-tags.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { runActivity } from '../support/activity.ts';
import { type FaultyProxy, type SeenRequest, startFaultyProxy } from '../support/faulty-proxy.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';
import { type HttpServer, startHttpServer } from '../support/http-server.ts';
import { deleteManifest, pushImage, tag as retag, sha256 } from '../support/images.ts';
import { planOf, stageOf } from '../support/plans.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../support/registry-client.ts';
import { startNamespace, type TestNamespace, testSealing } from '../support/temporal.ts';

const exact = (...tags: string[]): TagPolicy => ({ kind: 'exact', tags: tags.map(tagOf) });
const versions: TagPolicy = { kind: 'semver', range: '>=1.0.0' };
const newest: TagPolicy = { kind: 'pattern', pattern: '^main-.*$', order: 'newest' };
const nothing: SearchMemory = { services: [] };
const { change, ...bare } = stageOf('production');

describe('searching a registry for missed pushes', function () {
  this.timeout(60_000);
  let registry: Registry;
  /** In front of the registry: counts, and fails where it is told to. */
  let proxy: FaultyProxy;
  let isAffected = (_: SeenRequest): boolean => true;
  let temporal: TestNamespace;
  let remote: GitRemote;
  let folder: string;
  /** Where the worker of a search keeps what it knows of tags. */
  let worker = 'one';
  let names = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-search-'));
    registry = await startRegistry();
    proxy = await startFaultyProxy(registry.url, { applies: (request) => isAffected(request) });
    temporal = await startNamespace();
    remote = await createRemote({ files: { 'docker-compose.yml': 'services: {}\n' } });
  });
  after(async () => {
    await proxy.stop();
    await registry.stop();
    await temporal.stop();
    await remote.destroy();
    await rm(folder, { recursive: true });
  });

  /** A service of a repository of its own, without anything to change. */
  function service(tags: TagPolicy, more: Partial<Plan> = {}): Plan {
    const name = `app-${++names}`;
    return planOf({ service: name, repository: repositoryAt(proxy, `team/${name}`), tags, stages: [bare], ...more });
  }

  function withChange(plan: Plan, repository = remote.folder): Plan {
    assert.ok(change);
    const of = { ...change, repository, target: { kind: 'compose' as const, services: [plan.service] } };
    return { ...plan, stages: [{ ...bare, change: of }] };
  }

  const pathOf = ({ repository }: Plan) => repository.slice(repository.indexOf('/') + 1);
  const push = (plan: Plan, tag: string, created = '2026-01-01T00:00:00Z') =>
    pushImage(registry, pathOf(plan), tag, { labels: { plan: plan.service, tag, made: `${Math.random()}` }, created });

  interface Searcher {
    search(known: SearchMemory): Promise<SearchOutcome & { requests: string[]; entry: SearchEntry }>;
    activity: SearchActivities['searchRegistry'];
  }

  function searcher(plans: readonly Plan[], now?: () => Date): Searcher {
    const reported: SearchEntry[] = [];
    const { searchRegistry } = createSearch({
      registry: registryClient({ timeoutMs: 5_000 }),
      storedTags: (repository) => StoredTags.open(repository, { folder: join(folder, 'tags', worker), log: console }),
      client: temporal.client,
      forgeFor: () => createGitForge({ folder: join(folder, 'git'), env: gitEnvironment() }),
      plansOfHost: () => plans,
      report: (entry) => void reported.push(entry),
      ...(now && { now }),
    });
    return {
      activity: searchRegistry,
      async search(known) {
        const before = proxy.requests.length;
        // As it comes back from Temporal.
        const outcome = await runActivity(searchRegistry, {
          registry: proxy.host,
          known: memoryOf(JSON.parse(JSON.stringify(known))),
        });
        assert.ok('memory' in outcome);
        const entry = reported.at(-1);
        assert.ok(entry);
        const requests = proxy.requests.slice(before).map(({ method, path }) => `${method} ${path}`);
        return { ...outcome, requests, entry };
      },
    };
  }

  /** How often a look-up of the service was asked for. */
  async function askedFor(plan: Plan): Promise<number> {
    const handle = temporal.client.workflow.getHandle(resolveId(plan.service));
    const { events } = await handle.fetchHistory().catch(() => ({ events: [] }));
    return (events ?? []).filter(({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName === 'resolve')
      .length;
  }

  const named = (plan: Plan, tag: string, digest: string) => `${plan.repository}:${tag}@${digest}`;

  it('takes what it sees first for old, and then finds what is pushed, once', async () => {
    const plan = service(exact('latest', 'next'));
    const { search } = searcher([plan]);
    await push(plan, 'latest');
    const first = await search(nothing);
    assert.deepEqual([first.found, first.entry.outcome, first.entry.status], [[], 'baseline', 'searched']);
    assert.equal(await askedFor(plan), 0);
    const digest = await push(plan, 'latest');
    const created = await push(plan, 'next');
    const second = await search(first.memory);
    assert.deepEqual(second.found, [named(plan, 'latest', digest), named(plan, 'next', created)]);
    assert.deepEqual(
      [second.entry.outcome, second.entry.services, second.entry.images, second.entry.registry],
      ['found', [plan.service], [plan.repository], proxy.host],
    );
    assert.equal(await askedFor(plan), 1, 'one look-up looks at all tags of a service');
    const third = await search(second.memory);
    assert.deepEqual([third.found, third.entry.outcome, third.requests.length], [[], 'nothing-new', 2]);
    assert.equal(await askedFor(plan), 1);
  });

  it('asks whether a digest is still the same, so that the registry can say that nothing has changed', async () => {
    const plan = service(exact('latest'));
    const { search } = searcher([plan]);
    const digest = await push(plan, 'latest');
    const { memory } = await search(nothing);
    await search(memory);
    assert.equal(proxy.requests.at(-1)?.headers['if-none-match'], `"${digest}"`);
  });

  it('gets one list for all services of a repository, and finds the greatest tag of each', async () => {
    const one = service(versions);
    const two: Plan = { ...one, service: `${one.service}-old`, tags: { kind: 'semver', range: '<2' } };
    const { search } = searcher([one, two]);
    for (const tag of ['1.0.0', '2.0.0']) await push(one, tag);
    const first = await search(nothing);
    assert.deepEqual(first.requests.map((line) => line.replace(/\/v2\/team\/[^/]+\//, '')).sort(), [
      'GET tags/list?n=1000',
      'HEAD manifests/1.0.0',
      'HEAD manifests/2.0.0',
    ]);
    const digest = await push(one, '1.1.0');
    const second = await search(first.memory);
    assert.deepEqual(second.found, [named(two, '1.1.0', digest)]);
    assert.deepEqual([await askedFor(one), await askedFor(two)], [0, 1]);
  });

  it('takes a deleted latest version for no push, and a tag that is away for a while neither', async () => {
    const [ordered, named] = [service(versions), service(exact('latest'))];
    const { search } = searcher([ordered, named]);
    await push(ordered, '1.0.0');
    const greatest = await push(ordered, '1.1.0');
    const latest = await push(named, 'latest');
    await retag(registry, pathOf(named), 'latest', 'keep');
    let { memory } = await search(nothing);
    await deleteManifest(registry, pathOf(ordered), greatest);
    // HEAD and GET of the one tag, before and after the list.
    const gone = { kind: 'status', status: 404, body: '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}' } as const;
    isAffected = ({ path }) => path.endsWith('/manifests/latest');
    proxy.next(gone, gone);
    ({ memory } = await search(memory));
    assert.equal(proxy.remaining(), 0);
    isAffected = () => true;
    const after = await search(memory);
    assert.deepEqual(after.found, []);
    const again = await search(after.memory);
    assert.deepEqual([again.found, await askedFor(ordered), await askedFor(named)], [[], 0, 0]);
    assert.ok(JSON.stringify(again.memory).includes(Buffer.from(latest.slice(7), 'hex').toString('base64url')));
  });

  /** Has a rollout end as one that a worker ran. */
  async function endWith(plan: Plan, digest: Digest, state: object): Promise<void> {
    const { workflow } = temporal.client;
    const taskQueue = `ended-${plan.service}`;
    const workflowId = rolloutId(plan.service, { tag: tagOf('latest'), digest });
    await workflow.start('rollout', { workflowId, taskQueue });
    const { namespace } = temporal;
    const { taskToken } = await temporal.client.connection.withDeadline(Date.now() + 20_000, () =>
      workflow.workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: taskQueue } }),
    );
    const seal = createSealCodec(namespace, testSealing, 'worker');
    const payloads = await seal.encode([defaultPayloadConverter.toPayload(state)], { type: 'workflow', namespace, workflowId });
    await workflow.workflowService.respondWorkflowTaskCompleted({
      namespace,
      taskToken,
      commands: [
        {
          // COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
          commandType: 4,
          completeWorkflowExecutionCommandAttributes: { result: { payloads } },
        },
      ],
    });
  }

  it('takes up again, once, what was rejected because the registry did not have it for a while', async () => {
    const verify = { step: 'verify', status: 'stopped' };
    const ends = [
      [{ status: 'rejected', steps: [{ ...verify, failure: 'NotInRegistry' }] }, true],
      [{ status: 'rejected', steps: [{ ...verify, failure: 'NotAnImage' }] }, false],
      [{ status: 'rejected', reason: 'by ann', steps: [{ step: 'scan', status: 'stopped', failure: 'ScanRejected' }] }, false],
      [{ status: 'delivered', steps: [] }, false],
    ] as const;
    await concurrently(ends, 4, async ([state, isTakenUp]) => {
      const plan = service(exact('latest'));
      const { activity } = searcher([plan]);
      const search = async (known: SearchMemory) => {
        const outcome = await runActivity(activity, { registry: proxy.host, known });
        assert.ok('memory' in outcome);
        return outcome;
      };
      await push(plan, 'latest');
      const { memory } = await search(nothing);
      const digest = await push(plan, 'latest');
      await endWith(plan, digest, state);
      const after = await search(memory);
      assert.deepEqual(after.found, isTakenUp ? [named(plan, 'latest', digest)] : [], JSON.stringify(state));
      assert.deepEqual((await search(after.memory)).found, []);
      assert.equal(await askedFor(plan), isTakenUp ? 1 : 0);
    });
  });

  it('does not lose sight of a rollout that a webhook started, until that is over', async () => {
    for (const tags of [exact('latest'), { kind: 'pattern', pattern: '^latest$', order: 'alphabetical' } as const]) {
      const plan = service(tags);
      const { search } = searcher([plan]);
      await push(plan, 'latest');
      const first = await search(nothing);
      const digest = await push(plan, 'latest');
      const workflowId = rolloutId(plan.service, { tag: tagOf('latest'), digest });
      const handle = await temporal.client.workflow.start('rollout', { workflowId, taskQueue: taskQueues.main });
      const running = await search(first.memory);
      assert.deepEqual(running.found, []);
      await handle.terminate();
      await endWith(plan, digest, { status: 'rejected', steps: [{ step: 'verify', failure: 'NotInRegistry' }] });
      const after = await search(running.memory);
      assert.deepEqual(after.found, [named(plan, 'latest', digest)]);
      assert.deepEqual((await search(after.memory)).found, []);
    }
  });

  it('does not start again what a webhook started, running or over', async () => {
    const plan = service(exact('latest'));
    const { search } = searcher([plan]);
    await push(plan, 'latest');
    let { memory } = await search(nothing);
    const begin = (digest: Digest): Promise<WorkflowHandle> =>
      temporal.client.workflow.start('rollout', {
        workflowId: rolloutId(plan.service, { tag: tagOf('latest'), digest }),
        taskQueue: taskQueues.main,
      });
    await begin(await push(plan, 'latest'));
    const running = await search(memory);
    assert.deepEqual(running.found, []);
    await (await begin(await push(plan, 'latest'))).terminate();
    const over = await search(running.memory);
    assert.deepEqual(over.found, []);
    ({ memory } = over);
    assert.deepEqual([(await search(memory)).found, await askedFor(plan)], [[], 0]);
  });

  it('asks once, however often it is tried, and says each time what it found', async () => {
    const plan = service(exact('latest'));
    const { search, activity } = searcher([plan]);
    await push(plan, 'latest');
    const { memory } = await search(nothing);
    const digest = await push(plan, 'latest');
    const ids = [rolloutId(plan.service, { tag: tagOf('latest'), digest })];
    await search(memory);
    // The next try of the same search: it beat with what it had asked for, and was cut off then.
    const again = await runActivity(activity, { registry: proxy.host, known: memory }, { heartbeatDetails: ids });
    assert.ok('memory' in again);
    assert.deepEqual([again.found, await askedFor(plan)], [[named(plan, 'latest', digest)], 1]);
  });

  it('finds an old image that was pushed again, though it was rolled out long ago', async () => {
    const plan = service(exact('latest'));
    const old = await push(plan, 'latest');
    await retag(registry, pathOf(plan), 'latest', 'old');
    const id = rolloutId(plan.service, { tag: tagOf('latest'), digest: old });
    await (await temporal.client.workflow.start('rollout', { workflowId: id, taskQueue: taskQueues.main })).terminate();
    await push(plan, 'latest');
    // Looked at an hour after that roll-out was over.
    const { memory } = await searcher([plan], () => new Date(Date.now() + 3_600_000)).search(nothing);
    await retag(registry, pathOf(plan), 'old', 'latest');
    assert.deepEqual((await searcher([plan]).search(memory)).found, [named(plan, 'latest', old)]);
  });

  it('starts at first sight only what the base branch does not have', async () => {
    const [has, lacks] = [withChange(service(exact('latest'))), withChange(service(versions))];
    const held = await push(has, 'latest');
    const wanted = await push(lacks, '1.0.0');
    const file = `services:\n  ${has.service}: {image: "${has.repository}:latest@${held}"}\n  ${lacks.service}: {image: "${lacks.repository}:0.9.0"}\n`;
    await remote.commit('main', { 'docker-compose.yml': file }, 'deploy');
    const { search } = searcher([has, lacks]);
    const first = await search(nothing);
    assert.deepEqual(first.found, [named(lacks, '1.0.0', wanted)]);
    assert.deepEqual([await askedFor(has), await askedFor(lacks)], [0, 1]);
    assert.deepEqual([(await search(first.memory)).found, await askedFor(lacks)], [[], 1]);
  });

  it('starts no other tag at first sight where the base branch has one of them as it is', async () => {
    const [same, other, added] = [1, 2, 3].map(() => withChange(service(exact('latest', 'stable'))));
    assert.ok(same && other && added);
    const digests = await Promise.all([same, other, added].map((plan) => push(plan, 'latest')));
    await retag(registry, pathOf(same), 'latest', 'stable');
    await push(other, 'stable');
    const lines = [same, other, added].map(
      (plan, index) => `  ${plan.service}: {image: "${plan.repository}:latest@${digests[index]}"}`,
    );
    await remote.commit('main', { 'docker-compose.yml': `services:\n${lines.join('\n')}\n` }, 'deploy');
    const { search } = searcher([same, other, added]);
    const { memory, found } = await search(nothing);
    assert.deepEqual(found, []);
    const pushed = await push(added, 'stable');
    assert.deepEqual((await search(memory)).found, [named(added, 'stable', pushed)], 'what was not there before is no old image');
  });

  it('sees a service for the first time again where its forge could not be asked, and says so', async () => {
    const plan = withChange(service(exact('latest')), join(folder, 'not-there'));
    const other = service(exact('latest'));
    const digest = await push(plan, 'latest');
    await push(other, 'latest');
    const first = await searcher([plan, other]).search(nothing);
    assert.equal(first.memory.services.length, 1);
    assert.equal(first.entry.status, 'failed');
    assert.match(first.entry.reason ?? '', new RegExp(plan.service));
    const file = `services:\n  ${plan.service}: {image: "${plan.repository}:0.9.0"}\n`;
    await remote.commit('main', { 'docker-compose.yml': file }, 'deploy');
    const mended = await searcher([withChange(plan), other]).search(first.memory);
    assert.deepEqual(mended.found, [named(plan, 'latest', digest)]);
  });

  it('takes a tag that is followed from now on, and another policy, for seen for the first time', async () => {
    const plan = service(exact('latest'));
    for (const tag of ['latest', 'stable', '1.0.0']) await push(plan, tag);
    let { memory } = await searcher([plan]).search(nothing);
    const more = { ...plan, tags: exact('latest', 'stable') };
    const added = await searcher([more]).search(memory);
    assert.deepEqual(added.found, []);
    const digest = await push(plan, 'latest');
    ({ memory } = await searcher([{ ...plan, tags: versions }]).search(added.memory));
    const known = await searcher([more]).search(added.memory);
    assert.deepEqual(known.found, [named(plan, 'latest', digest)], 'what was known stays known');
    const other = await searcher([{ ...plan, tags: versions }]).search(memory);
    assert.deepEqual(other.found, []);
  });

  it('finds tags that are named like what every object has', async () => {
    const plan = service(exact('constructor', '__proto__', 'toString'));
    for (const tag of ['constructor', '__proto__']) await push(plan, tag);
    const { search } = searcher([plan]);
    const { memory, found } = await search(nothing);
    assert.deepEqual(found, []);
    const digests = [await push(plan, '__proto__'), await push(plan, 'toString')];
    assert.deepEqual((await search(memory)).found, [
      named(plan, '__proto__', digests[0] ?? ('' as Digest)),
      named(plan, 'toString', digests[1] ?? ('' as Digest)),
    ]);
  });

  it('is not kept from the others by repositories that are refused, missing or broken, and says what failed', async () => {
    const plans = Array.from({ length: 4 }, () => service(exact('latest')));
    const [refused, missing, broken, good] = plans as [Plan, Plan, Plan, Plan];
    await push(good, 'latest');
    const guard = await startHttpServer(async (request, response) => {
      const url = request.url ?? '';
      if (url.includes(pathOf(refused))) return response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      if (url.includes(pathOf(broken))) return response.writeHead(500).end();
      const answer = await fetch(`${registry.url}${url}`, {
        method: request.method ?? 'GET',
        headers: { accept: request.headers.accept ?? '' },
      });
      return response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()));
    });
    try {
      const guarded = plans.map((plan) => ({ ...plan, repository: repositoryAt(guard, pathOf(plan)) }));
      const { search } = searcher(guarded);
      const first = await search(nothing);
      const digest = await push(good, 'latest');
      const second = await search(first.memory);
      assert.deepEqual(second.found, [`${guard.host}/${pathOf(good)}:latest@${digest}`]);
      assert.equal(second.failed.length, 3, second.failed.join('\n'));
      for (const plan of [refused, missing, broken]) assert.ok(second.failed.some((line) => line.includes(pathOf(plan))));
      assert.deepEqual([second.entry.status, second.entry.outcome], ['failed', 'found']);
    } finally {
      await guard.stop();
    }
  });

  it('stops at a limit, keeps what it learned, and begins with the rest the next time', async () => {
    const plans = Array.from({ length: 12 }, () => service(exact('latest')));
    for (const plan of plans) await push(plan, 'latest');
    const passes = Array.from({ length: 5 }, () => ({ kind: 'pass' }) as const);
    const headers = { 'ratelimit-remaining': '0;w=21600' };
    proxy.next(...passes, ...Array.from({ length: 4 }, () => ({ kind: 'status', status: 429, headers }) as const));
    const { search } = searcher(plans);
    const before = Date.now();
    const limited = await search(nothing);
    assert.ok(limited.requests.length <= 9, `${limited.requests.length} requests`);
    assert.equal(limited.memory.services.length, 5);
    assert.equal(limited.entry.status, 'rate-limited');
    const waitMs = Date.parse(limited.memory.limitedUntil ?? '') - before;
    assert.ok(waitMs >= 900_000 && waitMs < 910_000, `a part of the window that is used up: ${waitMs}`);
    while (proxy.remaining() > 0) await fetch(proxy.url);
    const rest = await search(limited.memory);
    assert.equal(rest.memory.services.length, 12);
    assert.equal(rest.memory.limitedUntil, undefined);
    assert.ok(rest.requests[0]?.includes(`${limited.memory.resumeAt?.slice(proxy.host.length)}/`), rest.requests[0]);
  });

  it('gives up on a registry that is away after some requests, and finds everything once it is back', async () => {
    const own = await startRegistry();
    const front = await startFaultyProxy(own.url);
    const plans = Array.from({ length: 30 }, () => service(exact('latest'))).map((plan) => ({
      ...plan,
      repository: repositoryAt(front, pathOf(plan)),
    }));
    const { search } = searcher(plans);
    for (const plan of plans) await pushImage(own, pathOf(plan), 'latest', { labels: { plan: plan.service } });
    const { memory } = await search(nothing);
    const late = plans.slice(-3);
    for (const plan of late) await pushImage(own, pathOf(plan), 'latest', { labels: { plan: plan.service, again: 'yes' } });
    // It is killed in the middle of a search.
    front.next(
      ...Array.from({ length: 10 }, () => ({ kind: 'pass' }) as const),
      ...Array.from({ length: 20 }, () => ({ kind: 'cut' }) as const),
    );
    const counted = front.requests.length;
    const cut = await search(memory);
    // A connection that is cut is tried once more by the HTTP client.
    assert.ok(front.requests.length - counted <= 10 + 2 * 8, `${front.requests.length - counted} requests`);
    assert.deepEqual([cut.found, cut.entry.status], [[], 'failed']);
    assert.match(cut.entry.reason ?? '', /repositories were not asked/);
    while (front.remaining() > 0) await fetch(front.url).catch(() => undefined);
    const back = await search(cut.memory);
    assert.equal(back.found.length, 3);
    await front.stop();
    await own.stop();
  });

  it('finds the newest image by the times of those tags only that are new in the list', async () => {
    const plan = service(newest);
    for (const day of [1, 2, 3]) await push(plan, `main-${9 - day}`, `2026-02-0${day}T00:00:00Z`);
    const first = await searcher([plan]).search(nothing);
    assert.deepEqual(first.found, []);
    const digest = await push(plan, 'main-0', '2026-03-01T00:00:00Z');
    await push(plan, 'main-99', '2025-01-01T00:00:00Z');
    // Another worker, which knows no creation times.
    worker = 'another';
    const second = await searcher([plan]).search(first.memory);
    assert.deepEqual(second.found, [named(plan, 'main-0', digest)]);
    assert.equal(second.requests.length, 1 + 1 + 2 * 2, 'the list, the latest, and two for each new tag');
    const third = await searcher([plan]).search(second.memory);
    assert.deepEqual([third.found, third.requests.length], [[], 2]);
    const moved = await push(plan, 'main-0', '2026-03-02T00:00:00Z');
    assert.deepEqual((await searcher([plan]).search(third.memory)).found, [named(plan, 'main-0', moved)]);
  });

  /** In front of the registry: gives lists of tags an ETag, and says when they are unchanged. */
  async function startTagging(): Promise<HttpServer & { isStale: boolean }> {
    const state = { isStale: false };
    const server = await startHttpServer(async (request, response) => {
      const headers = { accept: request.headers.accept ?? '' };
      const answer = await fetch(`${registry.url}${request.url}`, { method: request.method ?? 'GET', headers });
      const body = Buffer.from(await answer.arrayBuffer());
      if (!request.url?.includes('/tags/list')) {
        return response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(body);
      }
      const etag = `"${sha256(body)}"`;
      const condition = request.headers['if-none-match'];
      if (condition === etag || (state.isStale && condition !== undefined)) return response.writeHead(304).end();
      return response.writeHead(answer.status, { etag }).end(body);
    });
    return Object.assign(state, server);
  }

  it('takes the word of a registry that a list is unchanged, and still sees what its latest tag points to', async () => {
    const guard = await startTagging();
    try {
      const [one, two] = [versions, newest].map((tags) => {
        const plan = service(tags);
        return { ...plan, repository: repositoryAt(guard, pathOf(plan)) };
      });
      assert.ok(one && two);
      const { search } = searcher([one, two]);
      for (const tag of ['1.0.0', '1.1.0']) await push(one, tag);
      await push(two, 'main-1');
      let { memory } = await search(nothing);
      assert.deepEqual((await search(memory)).found, []);
      const lists = guard.requests.filter(({ url }) => url?.includes('/tags/list')).slice(-2);
      assert.ok(lists.every(({ headers }) => headers['if-none-match'] !== undefined));
      const moved = [await push(one, '1.1.0'), await push(two, 'main-1')];
      const after = await search(memory);
      assert.deepEqual(
        [...after.found].sort(),
        [named(one, '1.1.0', moved[0] ?? ''), named(two, 'main-1', moved[1] ?? '')].sort(),
      );
      ({ memory } = after);
      // Another service of the repository does not know the list, and gets it whole.
      const other: Plan = { ...one, service: `${one.service}-other`, tags: { kind: 'semver', range: '<1.1' } };
      ({ memory } = await searcher([one, two, other]).search(memory));
      assert.ok(memory.services.find((known) => known.service === other.service)?.tags[0]?.includes(tagOf('1.0.0')));
      guard.isStale = true;
      // What was the latest is gone while the registry still says that nothing has changed.
      await deleteManifest(registry, pathOf(one), moved[0] ?? ('' as Digest));
      const gone = await searcher([one, two, other]).search(memory);
      assert.deepEqual(gone.found, []);
      assert.ok(gone.memory.services.find((known) => known.service === one.service)?.tags[0]?.includes(tagOf('1.0.0')));
    } finally {
      await guard.stop();
    }
  });

  it('finds within a day that a tag moved of which it knew that it was not the newest', async () => {
    const guard = await startTagging();
    try {
      for (const front of [proxy, guard]) {
        const plan = service(newest);
        const moving = { ...plan, repository: repositoryAt(front, pathOf(plan)) };
        for (const day of [1, 2, 3]) await push(plan, `main-${day}`, `2026-02-0${day}T00:00:00Z`);
        let clock = Date.now();
        const { search } = searcher([moving], () => new Date(clock));
        const first = await search(nothing);
        const digest = await push(plan, 'main-1', '2026-03-01T00:00:00Z');
        clock += 24 * 60 * 60_000;
        const second = await search(first.memory);
        assert.deepEqual(second.found, [named(moving, 'main-1', digest)]);
        assert.deepEqual((await search(second.memory)).found, []);
      }
    } finally {
      await guard.stop();
    }
  });

  it('dates no more than a hundred new tags at once, and the rest the next time', async () => {
    const plan = service(newest);
    await push(plan, 'main-first', '2026-01-01T00:00:00Z');
    const { search } = searcher([plan]);
    const first = await search(nothing);
    for (let number = 0; number < 120; number += 1) await retag(registry, pathOf(plan), 'main-first', `main-${1_000 + number}`);
    const digest = await push(plan, 'main-z', '2026-05-01T00:00:00Z');
    const second = await search(first.memory);
    // The list, the latest of before, a hundred tags, and the two different images at most.
    assert.ok(second.requests.length <= 1 + 1 + 100 + 2 * 2, `${second.requests.length} requests`);
    const third = await search(second.memory);
    assert.ok(third.requests.length > 20, 'expected the rest to be looked at');
    // Registries list tags in any order.
    assert.deepEqual([...second.found, ...third.found], [named(plan, 'main-z', digest)]);
    assert.ok((await search(third.memory)).requests.length === 2);
    // Whoever sees so many for the first time, and knows none of them, takes none for the latest, and finds what comes then.
    worker = 'of many';
    const anew = await searcher([plan]).search(nothing);
    assert.equal(anew.requests.length, 1);
    const later = await push(plan, 'main-0', '2026-06-01T00:00:00Z');
    assert.deepEqual((await searcher([plan]).search(anew.memory)).found, [named(plan, 'main-0', later)]);
  });

  it('says in the metrics what it found', async () => {
    const plan = service(exact('latest'));
    const { search } = searcher([plan]);
    await push(plan, 'latest');
    const metrics = createMetrics();
    const first = await search(nothing);
    metrics.found(first.entry);
    await push(plan, 'latest');
    metrics.found((await search(first.memory)).entry);
    const text = await metrics.registry.metrics();
    for (const outcome of ['baseline', 'found']) {
      assert.ok(text.includes(`landfall_searches_total{registry="${proxy.host}",outcome="${outcome}"} 1`), text);
    }
    assert.ok(text.includes(`landfall_search_found_total{service="${plan.service}"} 1`), text);
  });

  it('leaves services alone whose pushes are only passed on', async () => {
    const plan = service(exact('latest'), { stages: [{ ...bare, dispatch: { event: 'pushed', per: 'push' } }] });
    await push(plan, 'latest');
    assert.deepEqual((await searcher([plan]).search(nothing)).requests, []);
  });

  it('starts no flood: fifty services and two thousand tags at the first sight', async function () {
    this.timeout(180_000);
    const plans = Array.from({ length: 50 }, (_, index) => {
      const plan = service(index % 5 === 0 ? newest : index % 2 === 0 ? versions : exact('latest'));
      return index % 3 === 0 ? withChange(plan) : plan;
    });
    await concurrently([...plans.entries()], 6, async ([index, plan]) => {
      await push(plan, 'latest');
      for (let number = 0; number < (index < 2 ? 520 : 20); number += 1) {
        await retag(registry, pathOf(plan), 'latest', plan.tags.kind === 'pattern' ? `main-${number}` : `1.${number}.0`);
      }
    });
    const changed = plans.filter(({ stages }) => stages[0]?.change !== undefined);
    // The base branch has all of them but one.
    const [lacking] = changed.filter(({ tags }) => tags.kind === 'exact');
    assert.ok(lacking);
    const { memory: seen } = await searcher(plans.map((plan) => ({ ...plan, stages: [bare] }))).search(nothing);
    const lines = changed.map((plan) => {
      const [tag, packed] = seen.services.find((known) => known.service === plan.service)?.tags[0] ?? ['none', ''];
      const digest = Buffer.from(packed, 'base64url').toString('hex');
      return `  ${plan.service}: {image: "${plan.repository}:${tag}${plan === lacking ? '' : `@sha256:${digest}`}"}`;
    });
    await remote.commit('main', { 'docker-compose.yml': `services:\n${lines.join('\n')}\n` }, 'deploy');

    const first = await searcher(plans).search(nothing);
    const signals = await Promise.all(plans.map(askedFor));
    assert.equal(
      signals.reduce((sum, count) => sum + count, 0),
      1,
    );
    assert.equal(first.found.length, 1);
    const exactOnes = plans.filter(({ tags }) => tags.kind === 'exact').length;
    const versioned = plans.filter(({ tags }) => tags.kind === 'semver').length;
    const dated = plans.filter(({ tags }) => tags.kind === 'pattern').length;
    // A tag of `newest` is one request, its image (one for all of them here) at most two for each at once; one service has too many.
    assert.ok(
      first.requests.length <= exactOnes + 2 * versioned + dated + (dated - 1) * (20 + 2 * 8),
      `${first.requests.length} requests`,
    );
    const second = await searcher(plans).search(first.memory);
    assert.deepEqual([second.found, second.requests.length], [[], exactOnes + 2 * versioned + 2 * dated - 1]);
    assert.ok(JSON.stringify(first.memory).length < 40 * 1024, `${JSON.stringify(first.memory).length} bytes`);
  });
});
