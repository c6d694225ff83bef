import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import {
  type ActivityInterceptorsFactory,
  DefaultLogger,
  type InjectedSinks,
  makeTelemetryFilterString,
  Runtime,
  Worker,
  type WorkflowBundleOption,
} from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from '../activities/index.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Kinds } from '../config/kinds.ts';
import { deployQueue, taskQueues } from '../contracts/start-options.ts';
import { heartbeatThrottle, stickyTimeout } from '../contracts/timing.ts';
import type { Audit } from '../domain/audit.ts';
import type { Environment } from '../domain/environment.ts';
import { createSweep } from '../platform/docker/sweep.ts';
import type { AuditSinks } from '../workflows/audit.ts';
import { createDependencies } from './dependencies.ts';
import type { Logging } from './logging.ts';
import type { Temporal } from './temporal.ts';
import { workflowBundle } from './workflow-bundle.ts';

export interface Workers {
  /** Resolves when they have stopped, rejects when one of them cannot go on. */
  readonly running: Promise<void>;
  /** Takes no more work, gives what is in work a bounded time, and cancels the rest, which others take up again. */
  stop(): Promise<void>;
}

const graceMs = 10_000;

/** Which task queues this process serves. */
export interface ServedQueues {
  /** Workflows, and the steps that any machine with the network and Docker can take. */
  readonly steps: boolean;
  /** The hosts whose deploys are done here. */
  readonly hosts: readonly string[];
}

/** One process serves all task queues; the lanes have workers of their own, see docs/decisions. */
export async function startWorkers(
  configuration: Configuration,
  temporal: Temporal,
  env: Environment,
  logging: Logging,
  kinds: Kinds,
  serving: ServedQueues,
  interceptors: ActivityInterceptorsFactory[] = [],
): Promise<Workers> {
  const dependencies = await createDependencies(configuration, temporal, env, logging, kinds);
  const { log, audit } = logging;
  const activities = createActivities(dependencies);
  const connection = await temporal.connectWorkers();
  const bundle = await workflowBundle();
  const create = (
    taskQueue: string,
    more: { workflowBundle?: WorkflowBundleOption; maxConcurrentActivityTaskExecutions?: number },
  ) =>
    Worker.create({
      connection,
      namespace: temporal.namespace,
      taskQueue,
      activities,
      sinks: auditSinks(audit),
      interceptors: { activity: interceptors },
      shutdownGraceTime: graceMs,
      shutdownForceTime: graceMs * 3,
      maxHeartbeatThrottleInterval: heartbeatThrottle,
      stickyQueueScheduleToStartTimeout: stickyTimeout,
      ...more,
    });
  const isServed = (taskQueue: string): boolean => serving.steps || !Object.values<string>(taskQueues).includes(taskQueue);
  const createAll = (...queues: Parameters<typeof create>[]): Promise<Worker[]> =>
    Promise.all(queues.filter(([taskQueue]) => isServed(taskQueue)).map((queue) => create(...queue)));
  const [lanes, others] = await Promise.all([
    createAll([taskQueues.lanes, { workflowBundle: bundle }]),
    createAll(
      [taskQueues.main, { workflowBundle: bundle }],
      // Scans and smoke tests are what a host can stand only so many of.
      [taskQueues.docker, { maxConcurrentActivityTaskExecutions: 8 }],
      ...serving.hosts.map((host): Parameters<typeof create> => [deployQueue(host), {}]),
    ),
  ]);
  const sweep = createSweep({ ...dependencies, isPending: createIsPending(temporal.client), now: () => new Date(), log });
  sweep.start();
  const lanesRun = lanes.map((worker) => worker.run());
  const othersRun = others.map((worker) => worker.run());
  const running = Promise.all([...lanesRun, ...othersRun]).then(() => undefined);
  // Whoever waits for it hears of it, and may begin to only after one has failed.
  running.catch(() => undefined);
  return {
    running,
    async stop() {
      // Rollouts that drain still ask their lanes, so these go last.
      shutDown(...others);
      await Promise.allSettled(othersRun);
      shutDown(...lanes);
      await Promise.all([...othersRun, ...lanesRun]);
      await sweep.stop();
      await connection.close();
    },
  };
}

/** What workflows say to the audit log. Not while a history is replayed: it was said when it happened. */
export function auditSinks(audit: Audit): InjectedSinks<AuditSinks> {
  return { audit: { decided: { fn: (_info, entry) => audit(entry), callDuringReplay: false } } };
}

function shutDown(...workers: Worker[]): void {
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** Once per process, before the first worker: Temporal's own words go into our log, and signals are ours to handle. */
export function installRuntime(log: Logger): void {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  Runtime.install({
    shutdownSignals: [],
    logger: new DefaultLogger('WARN', ({ level, message, meta }) => log[levels[level]](readable(meta), message)),
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) } },
  });
}

/** What somebody at 3 a.m. needs of Temporal's fields: of which rollout, and the error as its message. The rest is in Temporal. */
function readable({
  workflowId,
  activityType,
  attempt,
  error,
  taskQueue,
}: Record<string, unknown> = {}): Record<string, unknown> {
  const reason = error instanceof Error ? error.message : error;
  return { workflow: workflowId, step: activityType, attempt, taskQueue, reason };
}

/** Whether Temporal still has an activity of a rollout to do or doing. */
function createIsPending(client: Client): (rollout: string, run: string, activity: string) => Promise<boolean> {
  return async (rollout, run, activity) => {
    try {
      const { raw } = await client.workflow.getHandle(rollout, run).describe();
      return raw.pendingActivities?.some(({ activityId }) => activityId === activity) ?? false;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  };
}
