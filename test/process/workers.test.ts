import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker as Thread } from 'node:worker_threads';
import { NativeConnection } from '@temporalio/worker';
import { plansOfRepository } from '../../src/config/plans.ts';
import { stateQuery } from '../../src/contracts/messages.ts';
import { resolveStartOptions, rolloutStartOptions } from '../../src/contracts/start-options.ts';
import { parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import { reachTemporal, type Temporal } from '../../src/process/temporal.ts';
import { mostCachedWorkflows, type ServedQueues, startWorkers, type Workers } from '../../src/process/workers.ts';
import { sharedThreadWorker } from '../../src/process/workflow-thread.ts';
import { load } from '../config/support.ts';
import { pushImage } from '../support/images.ts';
import { startRegistry } from '../support/registry.ts';
import { silentLogging } from '../support/silent-logging.ts';
import { endSignal } from '../support/stand-in-workflows.ts';
import { startNamespace, startTemporal, type TestTemporal } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { sealedBy, workflowBundle } from '../support/worker.ts';

const standIns = 'test/support/stand-in-workflows.ts';

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
