import { availableParallelism, totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import {
  type ActivityInterceptorsFactory,
  DefaultLogger,
  type InjectedSinks,
  makeTelemetryFilterString,
  Runtime,
  type Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import type { Logger } from 'pino';
import type { Dependencies } from '../activities/dependencies.ts';
import { createActivities, createHostActivities } from '../activities/index.ts';
import { asOwnFileBuilds, asOwnFileSays, type OwnStage } from '../activities/own-file.ts';
import { buildPlanOf } from '../config/build-plans.ts';
import { stageOf } from '../config/plans.ts';
import type { BuildHostActivities } from '../contracts/activities/builds.ts';
import type { HostActivities } from '../contracts/activities/delivery.ts';
import { buildQueue, deployQueue, taskQueues } from '../contracts/start-options.ts';
import { heartbeatThrottle, stickyTimeout } from '../contracts/timing.ts';
import type { Audit } from '../domain/audit.ts';
import type { BuildPlan } from '../domain/build.ts';
import type { Environment } from '../domain/environment.ts';
import type { ProgressEntry } from '../domain/progress.ts';
import type { TraceSpan } from '../domain/trace.ts';
import { sweepArtifacts, usualArtifactLimits } from '../platform/artifacts.ts';
import type { AskPending } from '../platform/docker/labels.ts';
import { createSweep } from '../platform/docker/sweep.ts';
import { everyMinute } from '../platform/every-minute.ts';
import type { AuditSinks } from '../workflows/audit.ts';
import type { TraceSinks } from '../workflows/traced.ts';
import { createDependencies } from './dependencies.ts';
import type { Logging } from './logging.ts';
import type { CurrentConfiguration } from './reload.ts';
import { sealedWorker } from './sealing.ts';
import type { Temporal } from './temporal.ts';
import { findWorkflowBundle } from './workflow-bundle.ts';
import { sharedThreadWorker } from './workflow-thread.ts';

export type Workers = Awaited<ReturnType<typeof startWorkers>>;

const graceMs = 10_000;
/**
 * Requests for work that wait at Temporal, for each queue and kind of task: with Temporal's own ten, 60 of them return once a minute, which
 * takes 10 MB. Ten start work no faster than four, 900 activities of 150 workflows at once.
 */
const pollers = { type: 'simple-maximum', maximum: 4 } as const;

/** Which task queues this process serves. */
export interface ServedQueues {
  /** Workflows, and the steps that any machine with the network and Docker can take. */
  readonly steps: boolean;
  /** The hosts whose deploys are done here. */
  readonly hosts: readonly string[];
}

/** Who else is to know of what is done. */
export interface WorkWatchers {
  readonly interceptors?: readonly ActivityInterceptorsFactory[];
  /** Is told of spans of workflows. */
  readonly spanEnded?: ((span: TraceSpan) => void) | undefined;
}

/** One process serves all task queues; the lanes have workers of their own, see docs/decisions. */
export async function startWorkers(
  current: CurrentConfiguration,
  temporal: Temporal,
  env: Environment,
  logging: Logging,
  serving: ServedQueues,
  { interceptors = [], spanEnded }: WorkWatchers = {},
) {
  const { limits } = current.configuration;
  const dependencies = await createDependencies(current, temporal, env, logging);
  const activities = createActivities(dependencies);
  const connection = await temporal.connectWorkers();
  const workflowBundle = await findWorkflowBundle();
  const SharedThreadWorker = sharedThreadWorker();
  const create = (taskQueue: string, more: Partial<WorkerOptions> = {}) =>
    SharedThreadWorker.create({
      connection,
      namespace: temporal.namespace,
      taskQueue,
      activities,
      sinks: { ...auditSinks(logging.audit, logging.progress), ...traceSinks(spanEnded) },
      ...sealedWorker(temporal.namespace, temporal.sealing, interceptors),
      shutdownGraceTime: graceMs,
      shutdownForceTime: graceMs * 3,
      maxHeartbeatThrottleInterval: heartbeatThrottle,
      stickyQueueScheduleToStartTimeout: stickyTimeout,
      workflowTaskPollerBehavior: pollers,
      activityTaskPollerBehavior: pollers,
      maxCachedWorkflows: mostCachedWorkflows(getHeapStatistics().heap_size_limit),
      ...more,
    });
  const onHost = hostActivitiesOf(current, dependencies, serving);
  const ofSteps = (...queue: Parameters<typeof create>) => (serving.steps ? [create(...queue)] : []);
  const [lanes, others] = await Promise.all([
    Promise.all(ofSteps(taskQueues.lanes, { workflowBundle })),
    Promise.all([
      ...ofSteps(taskQueues.main, { workflowBundle }),
      ...ofSteps(taskQueues.docker, { maxConcurrentActivityTaskExecutions: limits.checks ?? usualChecks() }),
      ...serving.hosts.map((host) => create(deployQueue(host), { activities: onHost(host) })),
      ...serving.hosts.map((host) => create(buildQueue(host), { activities: onHost(host), ...buildWorker(limits.builds) })),
    ]),
  ]);
  const sweeps = createSweeps(current, dependencies, createIsPending(temporal.client));
  for (const sweep of sweeps) sweep.start();
  const lanesRun = lanes.map((worker) => worker.run());
  const othersRun = others.map((worker) => worker.run());
  const running = Promise.all([...lanesRun, ...othersRun]).then(() => undefined);
  // Whoever waits for it hears of it, and may begin to only after one has failed.
  running.catch(() => undefined);
  return {
    figures: [...dependencies.checks.values()].flatMap((check) => check.figures ?? []),
    /** Resolves when they have stopped, rejects when one of them cannot go on. */
    running,
    /** Takes no more work, gives what is in work a bounded time, and cancels the rest, which others take up again. */
    async stop(): Promise<void> {
      // Rollouts that drain still ask their lanes, so these go last.
      shutDown(...others);
      await Promise.allSettled(othersRun);
      shutDown(...lanes);
      await Promise.all([...othersRun, ...lanesRun]);
      await Promise.all(sweeps.map((sweep) => sweep.stop()));
      await connection.close();
    },
  };
}

/** A rollout keeps its plan while the file that it is from changes. A process that only deploys asks its own file again. */
function hostActivitiesOf(
  current: CurrentConfiguration,
  dependencies: Dependencies,
  serving: ServedQueues,
): (host: string) => HostActivities & BuildHostActivities {
  const activities = createHostActivities(dependencies);
  const ownStage: OwnStage = ({ image, plan, stage }) => stageOf(current.configuration, image, plan.service, stage.name);
  const ownBuild = (name: string): BuildPlan | undefined => buildPlanOf(current.configuration, name);
  return (host) =>
    serving.steps ? activities : { ...asOwnFileSays(host, activities, ownStage), ...asOwnFileBuilds(host, activities, ownBuild) };
}

const [mib, gib] = [1024 ** 2, 1024 ** 3];

/**
 * How many workflows each of the two workers that have some keeps in memory; the others are replayed when they are asked for. A lane takes about
 * 1 MiB. Temporal's default is for one worker with a thread, and a heap, of its own; ours share one.
 * @param heapBytes the most that V8 lets the heap of a thread grow to
 */
export function mostCachedWorkflows(heapBytes: number): number {
  return Math.max(50, Math.min(500, Math.floor((heapBytes / mib - 200) / 4)));
}

/** Few at a time, so one request for work that waits at Temporal will do. */
function buildWorker(builds = atOnce(1, 2 * gib)) {
  return { maxConcurrentActivityTaskExecutions: builds, activityTaskPollerBehavior: { ...pollers, maximum: 1 } };
}

/** How many scans and smoke tests a machine can stand at once: a scan takes one processor and some memory, a smoke test mostly waits. */
function usualChecks(): number {
  return atOnce(4, gib);
}

function atOnce(perProcessor: number, bytesOfEach: number): number {
  // Within a container, less than the machine has; 0 or an absurdly large number elsewhere.
  const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  return Math.max(1, Math.min(perProcessor * availableParallelism(), Math.floor(memory / bytesOfEach)));
}

/** What workflows say to audit log and log. Not while a history is replayed: it was said when it happened. */
export function auditSinks(audit: Audit, moved: (entry: ProgressEntry) => void = () => undefined): InjectedSinks<AuditSinks> {
  return {
    audit: {
      decided: { fn: (_info, entry) => audit(entry), callDuringReplay: false },
      moved: { fn: (_info, entry) => moved(entry), callDuringReplay: false },
    },
  };
}

/** Also where nobody wants spans: another process may have asked for the trace. */
export function traceSinks(ended: (span: TraceSpan) => void = () => undefined): InjectedSinks<TraceSinks> {
  return { trace: { ended: { fn: (_info, span) => ended(span), callDuringReplay: false } } };
}

function shutDown(...workers: Worker[]): void {
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
}

/**
 * Once per process, before the first worker: Temporal's own words go into our log, and signals are ours to handle.
 * @param metricsAddress where its figures are served; absent: nowhere
 */
export function installRuntime(log: Logger, metricsAddress?: string): void {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  Runtime.install({
    shutdownSignals: [],
    logger: new DefaultLogger('WARN', ({ level, message, meta }) => {
      if (knownWorkers.test(message)) return;
      log[levels[level]](readable(meta), message === taskGivenUp ? `${message} ${whatFollows}` : message);
    }),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) },
      ...(metricsAddress !== undefined && {
        metrics: { prometheus: { bindAddress: metricsAddress, ...inPrometheusManner } },
      }),
    },
  });
}

const inPrometheusManner = { countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true } as const;

/** Hosts and Docker have workers for activities alone, which is as it should be. */
const knownWorkers = /^No (?:workflows|activities) registered, not polling/;

/**
 * Core 1.24 gives a task of a workflow up when a query, which was handed out before it, comes after it and while a local activity is under way.
 * The server hands it out again once it has timed out; only where the cache is off does the run stand still.
 */
const taskGivenUp = 'Trying to send a new WFT for a run which already has one!';
const whatFollows = '(a query came late; the task is done again within some 10 s, and nothing is to be done)';

/** What somebody at 3 a.m. needs of Temporal's fields: of which rollout, and the error as its message. The rest is in Temporal. */
function readable(meta: Record<string, unknown> = {}): Record<string, unknown> {
  const { workflowId, activityType, attempt, error, taskQueue } = meta;
  const reason = error instanceof Error ? error.message : error;
  return { workflow: workflowId, step: activityType, attempt, taskQueue, reason };
}

const hourMs = 60 * 60_000;

/** What removes what checks of killed workers left, in Docker and wherever else checks have their things, and artifacts that are old. */
function createSweeps(
  current: CurrentConfiguration,
  dependencies: Awaited<ReturnType<typeof createDependencies>>,
  isPending: AskPending,
) {
  const { checks, log } = dependencies;
  const elsewhere = [...checks].flatMap(([kind, check]) => {
    const settings = () =>
      current.configuration.services.flatMap(({ checks: planned }) =>
        planned.filter((each) => each.kind === kind).map((each) => each.settings),
      );
    const failed = (error: unknown) =>
      log.warn({ error }, `could not sweep what the check ${kind} leaves; it is tried again each minute`);
    return check.sweep === undefined ? [] : [everyMinute(async () => check.sweep?.(settings(), isPending), failed)];
  });
  const { artifacts } = current.configuration;
  const cannot = (error: unknown) => log.warn({ error }, 'could not remove old artifacts; it is tried again each hour');
  const ofArtifacts = everyMinute(async () => sweepArtifacts(artifacts, usualArtifactLimits), cannot, hourMs);
  return [createSweep({ ...dependencies, isPending }), ofArtifacts, ...elsewhere];
}

/** Whether Temporal still has an activity of a rollout to do or doing. */
function createIsPending(client: Client): AskPending {
  return async (rollout, run, activity) => {
    try {
      const { closeTime, raw } = await client.workflow.getHandle(rollout, run).describe();
      // One that was terminated keeps what was pending.
      const isOver = closeTime !== undefined;
      return !isOver && (raw.pendingActivities?.some(({ activityId }) => activityId === activity) ?? false);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  };
}
