import { log, proxyActivities } from '@temporalio/workflow';
import type { BuildHostActivities } from '../../contracts/activities/builds.ts';
import type { Activities } from '../../contracts/activities/index.ts';
import { buildQueue, deployQueue } from '../../contracts/start-options.ts';
import { heartbeatTimeout } from '../../contracts/timing.ts';
import type { BuildPart, BuildTarget, PlatformEntry, PushedBuild } from '../../domain/build.ts';
import { failureOf, takeStep } from '../rollout/steps/take-step.ts';
import { type BuildRun, inputOf } from './run.ts';

const usual = { heartbeatTimeout, cancellationType: 'WAIT_CANCELLATION_COMPLETED' } as const;

/** A first clone may take minutes, and registries come back: about half an hour of trying before a person is asked. */
const options = {
  startToCloseTimeout: '20m',
  ...usual,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 35 },
} as const;
const network = proxyActivities<Pick<Activities, 'askRegistry' | 'publishBuild' | 'handOver'>>(options);
/** Of a pattern hundreds begin at once, and rollouts use the same queue. */
const reading = proxyActivities<Pick<Activities, 'readTarget'>>({ ...options, priority: { priorityKey: 4 } });

/** Beside the build itself: the commit is checked out, and what came out is read. */
const besideMs = 20 * 60_000;

/**
 * Done where the platform is built, when it is its turn there. What begins a build lets those go first that have begun: what they have built
 * takes room on the disk until they end.
 * @param withinMs how long it may take from then on
 */
export function onHost(
  { start }: BuildRun,
  { host }: Pick<BuildPart, 'host'>,
  { begins = false, withinMs = start.subject.plan.timeoutMs + besideMs } = {},
) {
  return proxyActivities<Omit<BuildHostActivities, 'discardBuild'>>({
    taskQueue: buildQueue(host),
    priority: { priorityKey: begins ? 3 : 2 },
    startToCloseTimeout: withinMs,
    ...usual,
    retry: { initialInterval: '1s', maximumInterval: '1m', maximumAttempts: 10 },
  });
}

export async function validate(run: BuildRun): Promise<BuildTarget> {
  const answer = await takeStep(run, { step: 'validate' }, () => reading.readTarget(run.start.subject));
  return required(answer, 'validate').target;
}

/** @returns whether the registry has the tag */
export async function exists(run: BuildRun, target: BuildTarget): Promise<boolean> {
  const answer = await takeStep(run, { step: 'exists' }, () => network.askRegistry(inputOf(run, target)));
  return required(answer, 'exists').digest !== undefined;
}

/** Every platform by its digest; and then, as all of them are there, the index and the tags. */
export async function push(
  run: BuildRun,
  target: BuildTarget,
  upload: readonly (() => Promise<PlatformEntry>)[],
): Promise<PushedBuild> {
  const entries = await Promise.all(upload.map((each) => each()));
  const input = { ...inputOf(run, target), entries };
  return required(await takeStep(run, { step: 'push' }, () => network.publishBuild(input)), 'push');
}

/** @returns the rollouts that begin with what was pushed */
export async function handOver(
  run: BuildRun,
  target: BuildTarget,
  { digest, tags }: Pick<PushedBuild, 'digest' | 'tags'>,
): Promise<readonly string[]> {
  const input = { ...inputOf(run, target), digest, tags, cause: run.start.cause };
  return required(await takeStep(run, { step: 'hand-over' }, () => network.handOver(input)), 'hand-over').rollouts;
}

/** Nobody may skip these steps: see `stepsOfBuilds`. */
export function required<Answer extends { readonly kind: string }>(
  answer: Answer,
  step: string,
): Exclude<Answer, { kind: 'skipped' }> {
  if (answer.kind === 'skipped') throw new Error(`the step ${step} cannot be skipped`);
  return answer as Exclude<Answer, { kind: 'skipped' }>;
}

/** At once, whatever is built there. What stays on a host that does not answer is removed by builds there, once nobody could come back to it. */
export async function discard({ start }: BuildRun): Promise<void> {
  const hosts = new Set(start.subject.plan.parts.map(({ host }) => host));
  for (const host of hosts) {
    const bestEffort = proxyActivities<Pick<BuildHostActivities, 'discardBuild'>>({
      taskQueue: deployQueue(host),
      scheduleToCloseTimeout: '1m',
      startToCloseTimeout: '1m',
      retry: { maximumAttempts: 3 },
    });
    try {
      await bestEffort.discardBuild({});
    } catch (error) {
      log.warn('what was built could not be removed', { host, message: failureOf(error).message });
    }
  }
}
