import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker as Thread } from 'node:worker_threads';
import type { WorkflowHandle } from '@temporalio/client';
import { type ActivityInterceptorsFactory, NativeConnection } from '@temporalio/worker';
import { answering, leaveWhenCancelled } from '../../src/activities/boundary.ts';
import { plansOfRepository } from '../../src/config/plans.ts';
import { isPartOf } from '../../src/contracts/activities/steps.ts';
import { stateQuery } from '../../src/contracts/messages.ts';
import { buildQueue, buildStartOptions, resolveStartOptions, rolloutStartOptions } from '../../src/contracts/start-options.ts';
import { parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import { readRollout } from '../../src/operations/rollouts.ts';
import { reachTemporal, type Temporal } from '../../src/process/temporal.ts';
import { mostCachedWorkflows, type ServedQueues, startWorkers, type Workers } from '../../src/process/workers.ts';
import { sharedThreadWorker } from '../../src/process/workflow-thread.ts';
import { load } from '../config/support.ts';
import { fakeActivities } from '../support/fake-activities.ts';
import { buildStartOf, fakeBuilds } from '../support/fake-builds.ts';
import { pushImage } from '../support/images.ts';
import { delivered, imageOf, planOf, pushOf, stageOf } from '../support/plans.ts';
import { startRegistry } from '../support/registry.ts';
import { silentLogging } from '../support/silent-logging.ts';
import { endSignal } from '../support/stand-in-workflows.ts';
import { startNamespace, startTemporal, type TestTemporal } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { sealedBy, workflowBundle } from '../support/worker.ts';

const standIns = 'test/support/stand-in-workflows.ts';

/** Does these in place of what the worker has. */
function standIn(activities: Partial<Record<string, (input: never) => Promise<unknown>>>): ActivityInterceptorsFactory {
  return ({ info }) => ({
    inbound: {
      execute: ({ args: [input] }) => activities[info.activityType]?.(input as never) ?? assert.fail(info.activityType),
    },
  });
}

/** Builds and checks of platforms that end when they are told to, each or all. @returns also the nth of them to begin */
function buildsByHand() {
  const begun: { end(): void }[] = [];
  const all = Promise.withResolvers<void>();
  const byHand = <Input, Outcome>(act: (input: Input) => Promise<Outcome>) =>
    answering(async (input: Input) => {
      const { promise, resolve: end } = Promise.withResolvers<void>();
      begun.push({ end });
      await leaveWhenCancelled(() => Promise.race([promise, all.promise]));
      return await act(input);
    });
  const { buildPlatform, checkBuilt } = fakeBuilds();
  const nth = (number: number) => eventually(`${number} builds and checks to have begun`, async () => begun[number - 1]);
  return { begun, builds: { buildPlatform: byHand(buildPlatform), checkBuilt: byHand(checkBuilt) }, nth, endAll: all.resolve };
}

describe('the workers', function () {
  this.timeout(60_000);
  let server: TestTemporal;
  let temporal: Temporal;
  let workers: Workers;
  let registry: Server;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-workers-'));
    registry = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(registry, 'listening');
    server = await startTemporal();
  });
  after(async () => {
    registry.closeAllConnections();
    registry.close();
    await workers?.stop();
    await temporal?.stop();
    await server.stop();
    await rm(folder, { recursive: true });
  });

  it('let a step be heard from every few seconds, so that the loss of one heartbeat does not end it', async () => {
    const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
    const configuration = load(
      `
registries: { "${host}": { plainHttp: true } }
data: ${folder}
services: [{ image: "${host}/team/app" }]
`,
      server.env,
    );
    const logging = silentLogging(undefined, server.env);
    temporal = await reachTemporal(configuration, logging, {});
    workers = await startWorkers({ configuration }, temporal, process.env, logging, { steps: true, hosts: [] });
    const repository = parseRepository(`${host}/team/app`);
    const [plan] = plansOfRepository(configuration, repository);
    assert.ok(plan);
    const push = { source: 'test', deliveryId: 'd1', repository, tag: 'latest' as Tag, receivedAt: new Date().toISOString() };
    const handle = await temporal.client.workflow.signalWithStart('resolve', resolveStartOptions({ plan, push }));
    const heardFrom = (after: number) =>
      eventually('a heartbeat', async () => {
        const at = (await handle.describe()).raw.pendingActivities?.[0]?.lastHeartbeatTime;
        const milliseconds = Number(at?.seconds ?? 0) * 1000 + (at?.nanos ?? 0) / 1e6;
        return milliseconds > after ? milliseconds : undefined;
      });
    const started = await heardFrom(0);
    const first = await heardFrom(started);
    await handle.terminate();
    assert.ok(first - started < 5_000, `${first - started} ms without a heartbeat`);
  });

  it('of a host that only deploys do what its own file says, whoever asks', async () => {
    const images = await startRegistry();
    const stops: (() => Promise<void>)[] = [() => images.stop()];
    try {
      const { env, client, stop } = await startNamespace();
      stops.push(stop);
      const digest = await pushImage(images, 'team/app', '1');
      const startWith = async (container: string, serving: ServedQueues) => {
        const configuration = load(
          `
registries: { "${images.host}": { plainHttp: true } }
data: ${await mkdtemp(join(folder, 'data-'))}
services: [{ image: "${images.host}/team/app", tags: ["1"], scan: off, smoke: off, change: off, deploy: { on: web-1, docker: { container: "${container}" } } }]
`,
          env,
        );
        const logging = silentLogging(undefined, env);
        const reached = await reachTemporal(configuration, logging, {});
        const started = await startWorkers({ configuration }, reached, process.env, logging, serving);
        stops.unshift(() => started.stop().then(() => reached.stop()));
        return configuration;
      };
      const asking = await startWith('theirs', { steps: true, hosts: [] });
      await startWith('ours', { steps: false, hosts: ['web-1'] });
      const repository = parseRepository(`${images.host}/team/app`);
      const [plan] = plansOfRepository(asking, repository);
      assert.ok(plan);
      const image = { repository, tag: '1' as Tag, digest };
      const push = { ...image, source: 'test', deliveryId: 'd1', receivedAt: new Date().toISOString() };
      const handle = await client.workflow.start('rollout', rolloutStartOptions({ plan, image, push }));
      const blocked = await eventually('the refusal', async () => {
        const { status, reason } = await handle.query(stateQuery);
        return status === 'blocked' && reason;
      });
      assert.match(
        String(blocked),
        /host web-1 does what its own landfall\.yaml says, and that has for .* another docker\.containers/,
      );
      await handle.terminate();
    } finally {
      for (const stop of stops) await stop();
    }
  });

  it('of a host build no more at once than its limit, what has begun before others, and deploy at once all the same', async () => {
    const stops: (() => Promise<unknown>)[] = [];
    try {
      const { env, client, stop } = await startNamespace();
      stops.push(stop);
      const data = await mkdtemp(join(folder, 'data-'));
      const configuration = load(`{ data: ${data}, limits: { builds: 1 }, services: [] }`, env);
      const { builds: activities, begun, nth, endAll } = buildsByHand();
      const logging = silentLogging(undefined, env);
      const reached = await reachTemporal(configuration, logging, {});
      const watchers = { interceptors: [standIn({ ...fakeActivities(client, new Map(), activities) })] };
      const serving = { steps: true, hosts: ['default'] };
      const started = await startWorkers({ configuration }, reached, process.env, logging, serving, watchers);
      stops.unshift(() => started.stop().then(() => reached.stop()));

      const starts = ['one', 'two', 'three'].map((name) => buildStartOptions(buildStartOf(name, { dryRun: true })));
      const builds = await Promise.all(starts.map((options) => client.workflow.start('build', options)));
      const first = await nth(1);
      first.end();
      await nth(2);
      const retriesOf = async ({ workflowId }: WorkflowHandle) => (await readRollout(client, workflowId)).retries;
      const waiting = await eventually('a check and a build to say what they wait for', async () => {
        const retries = (await Promise.all(builds.map(retriesOf))).flat();
        return retries.length === 2 && retries;
      });
      for (const step of ['scan', 'build']) {
        const { lastFailure = '' } = waiting.find((each) => isPartOf(step, each.step)) ?? {};
        assert.match(lastFailure, /where limits\.builds says/, step);
      }

      const plan = planOf({ stages: [stageOf('production', delivered)] });
      const image = imageOf(plan, 'a rollout beside builds');
      const rollout = await client.workflow.start('rollout', rolloutStartOptions({ plan, image, push: pushOf(image) }));
      assert.equal((await rollout.result()).status, 'delivered');
      assert.equal(begun.length, 2);
      endAll();
      for (const build of builds) assert.equal((await build.result()).status, 'built');
      const { events } = (await builds[0]?.fetchHistory()) ?? {};
      const scheduled = events?.flatMap(({ activityTaskScheduledEventAttributes: each }) => each ?? []) ?? [];
      const onHost = scheduled.filter(({ taskQueue }) => taskQueue?.name === buildQueue());
      // The first is the lowest, and Temporal takes from each of its partitions what is the highest there.
      assert.deepEqual(
        onHost.map(({ priority }) => priority?.priorityKey),
        [3, 2, 2, 2],
      );
    } finally {
      for (const stop of stops) await stop();
    }
  });

  it('keep no more workflows in memory than their heap has room for, twice, and no more than 500', () => {
    const mib = 1024 ** 2;
    assert.deepEqual(
      [256, 1024, 2048, 4144].map((heap) => mostCachedWorkflows(heap * mib)),
      [50, 206, 462, 500],
    );
  });

  it('run the workflows of all queues in one thread, which is there until the last of them has stopped', async () => {
    const threads: Thread[] = [];
    const count = (thread: Thread) => threads.push(thread);
    process.on('worker', count);
    const connection = await NativeConnection.connect({ address: server.address });
    const OneThreadWorker = sharedThreadWorker();
    const { namespace } = server;
    const common = { connection, namespace, workflowBundle: await workflowBundle(standIns), ...sealedBy(server) };
    const create = (taskQueue: string) => OneThreadWorker.create({ ...common, taskQueue });
    const [first, second] = await Promise.all([create('first'), create('second')]);
    process.off('worker', count);
    assert.equal(threads.length, 1);
    const exited = once(threads[0] ?? assert.fail(), 'exit');
    const runs = [first.run(), second.run()];
    const work = async (taskQueue: string) => {
      const handle = await server.client.workflow.start('rollout', { workflowId: taskQueue, taskQueue, args: [{}] });
      await handle.signal(endSignal);
      await handle.result();
    };
    await Promise.all([work('first'), work('second')]);
    first.shutdown();
    await runs[0];
    await work('second');
    second.shutdown();
    await Promise.all([...runs, exited]);
    await connection.close();
  });
});
