import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
  type WorkflowBundlePath,
} from '@temporalio/worker';
import { builtDist } from '../../scripts/setup/build.mjs';
import { withLock } from '../../scripts/setup/lock.mjs';
import type { Activities } from '../../src/contracts/activities/index.ts';
import type { Sealing } from '../../src/contracts/seal.ts';
import { buildQueue, deployQueue, taskQueues } from '../../src/contracts/start-options.ts';
import { sealedWorker } from '../../src/process/sealing.ts';
import { auditSinks, traceSinks, type WorkWatchers } from '../../src/process/workers.ts';
import { sharedThreadWorker } from '../../src/process/workflow-thread.ts';
import { type TestNamespace, testSealing } from './temporal.ts';

Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { forward: {}, filter: 'ERROR' } } });

const root = fileURLToPath(new URL('../../', import.meta.url));
const theService = 'src/workflows/index.ts';
const sealedModule = join(root, 'src/workflows/sealed.ts');
const bundles = new Map<string, Promise<WorkflowBundlePath>>();

/**
 * Made once for all processes and runs, until a source changes: it is kept by the hash of the sources, and of several processes that
 * need it one makes it and the others wait. The service's own is the one that was built, where it is there.
 * @param entry where the workflows are exported, below the checkout
 * @param interceptors none for workflows of somebody else
 */
export function workflowBundle(entry = theService, interceptors = [sealedModule]): Promise<WorkflowBundlePath> {
  const bundle = bundles.get(entry) ?? keptBundle(entry, interceptors);
  bundles.set(entry, bundle);
  return bundle;
}

async function keptBundle(entry: string, workflowInterceptorModules: string[]): Promise<WorkflowBundlePath> {
  const built = builtDist(root);
  if (built !== undefined && entry === theService) return { codePath: join(built, 'workflow-bundle.js') };
  const folder = join(root, 'node_modules/.cache/landfall-test-bundles', entry.replaceAll('/', '-'));
  const codePath = join(folder, `${hashOfSources(entry)}.js`);
  if (existsSync(codePath)) return { codePath };
  mkdirSync(folder, { recursive: true });
  await withLock(folder, console.log, async () => {
    if (existsSync(codePath)) return;
    const logger = new DefaultLogger('ERROR');
    const { code } = await bundleWorkflowCode({ workflowsPath: join(root, entry), workflowInterceptorModules, logger });
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.js'))) rmSync(join(folder, name));
    writeFileSync(`${codePath}.new`, code);
    renameSync(`${codePath}.new`, codePath);
  });
  return { codePath };
}

/** Of everything that a bundle can be made of, and some more: reading it takes some ms. */
function hashOfSources(entry: string): string {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.m?ts$|\.mjs$/.test(name))
    .map((name) => join('src', name));
  const hash = createHash('sha256');
  for (const name of [...sources.sort(), entry, 'package-lock.json']) hash.update(name).update(readFileSync(join(root, name)));
  return hash.digest('hex').slice(0, 32);
}

/** How a worker of a bundle above is made, beside what it does: it takes and gives only what is sealed by the tests' key. */
export function sealedBy({ namespace }: Pick<TestNamespace, 'namespace'>) {
  return sealedWorker(namespace, testSealing);
}

/** @param options of each worker; `entry`: where its workflows are exported, if they are not the service's */
export async function runWorkers(
  temporal: Pick<TestNamespace, 'address' | 'namespace'>,
  options: readonly (Pick<WorkerOptions, 'activities' | 'maxCachedWorkflows' | 'shutdownGraceTime' | 'shutdownForceTime'> & {
    readonly taskQueue: string;
    readonly entry?: string;
  })[],
): Promise<TestWorkers> {
  const connection = await NativeConnection.connect({ address: temporal.address });
  const { namespace } = temporal;
  const create = async ({ entry, ...each }: (typeof options)[number]): Promise<Worker> =>
    await Worker.create({
      ...{ connection, namespace, workflowBundle: await workflowBundle(entry) },
      ...sealedBy(temporal),
      ...each,
    });
  return runningWorkers(await Promise.all(options.map(create)), connection);
}

function runningWorkers(workers: readonly Worker[], connection: NativeConnection): TestWorkers {
  const running = workers.map((worker) => worker.run());
  return {
    async stop() {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.all(running);
      await connection.close();
    },
  };
}

/** Landfall sealed nothing before. */
export const sealedSince = new Date('2026-11-29T00:00:00Z');

/** How a history is replayed: also one that was recorded before anything was sealed. */
export async function replayOptions({ namespace }: Pick<TestNamespace, 'namespace'> = { namespace: 'default' }) {
  const { dataConverter } = sealedWorker(namespace, { ...testSealing, since: sealedSince });
  return { workflowBundle: await workflowBundle(), dataConverter, sinks: auditSinks(() => undefined) };
}

export interface TestWorkers {
  stop(): Promise<void>;
}

/** Workers for all task queues, as worker.ts runs them, with these activities. */
export async function startWorkers(
  temporal: Pick<TestNamespace, 'address' | 'namespace'>,
  activities: Activities | Record<string, (input: unknown) => Promise<unknown>>,
  {
    sealing = testSealing,
    watchers = {},
    ...options
  }: Pick<WorkerOptions, 'maxCachedWorkflows' | 'maxConcurrentActivityTaskExecutions' | 'sinks'> & {
    readonly sealing?: Sealing;
    readonly watchers?: WorkWatchers;
  } = {},
): Promise<TestWorkers> {
  const connection = await NativeConnection.connect({ address: temporal.address });
  const workflowBundleCode = await workflowBundle();
  const SharedThreadWorker = sharedThreadWorker();
  const create = (taskQueue: string, workflows: boolean): Promise<Worker> =>
    SharedThreadWorker.create({
      connection,
      namespace: temporal.namespace,
      taskQueue,
      activities,
      sinks: { ...auditSinks(() => undefined), ...traceSinks(watchers.spanEnded) },
      ...sealedWorker(temporal.namespace, sealing, watchers.interceptors),
      maxHeartbeatThrottleInterval: '3s',
      shutdownGraceTime: '1s',
      shutdownForceTime: '40s',
      ...options,
      ...(workflows && { workflowBundle: workflowBundleCode }),
    });
  const workers = await Promise.all([
    create(taskQueues.main, true),
    create(taskQueues.lanes, true),
    create(taskQueues.docker, false),
    create(deployQueue(), false),
    create(buildQueue(), false),
  ]);
  return runningWorkers(workers, connection);
}
