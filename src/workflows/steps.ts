import { TemporalFailure } from '@temporalio/common';
import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  proxyActivities,
  sleep,
  TimeoutFailure,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { finalFailureTypes } from '../domain/failures.ts';
import { type StepOutcome, sentenceOf } from '../domain/outcome-text.ts';
import type {
  CheckResults,
  DispatchOutcome,
  ProposeOutcome,
  RateLimited,
  ScanSummary,
  Skipped,
  SmokeSummary,
  VerifiedImage,
} from '../domain/outcomes.ts';
import type { StagePlan } from '../domain/plan.ts';
import { endRollout } from './ending.ts';
import type { StepAt } from './rollout-record.ts';
import type { Rollout } from './rollout-run.ts';
import { taskQueues } from './start-options.ts';

/** Activities beat every few seconds by themselves, so that a killed worker is noticed within seconds, not minutes. */
const heartbeatTimeout = '10s';
const cancellationType = 'WAIT_CANCELLATION_COMPLETED';

/** Registries and forges come back: about half an hour of trying before a person is asked. A first clone may take minutes. */
const network = proxyActivities<Pick<Activities, 'verify' | 'confirm' | 'dispatch' | 'propose'>>({
  startToCloseTimeout: '12m',
  heartbeatTimeout,
  cancellationType,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 35 },
});

/** A scan of a large image, with a database that has to be fetched first, takes minutes. */
const { scan: scanImage } = proxyActivities<Pick<Activities, 'scan'>>({
  taskQueue: taskQueues.docker,
  startToCloseTimeout: '20m',
  heartbeatTimeout,
  cancellationType,
  retry: { initialInterval: '2s', maximumInterval: '1m', maximumAttempts: 15 },
});

/** How often, and after which pause, a registry is asked again that still names an older image. */
const staleLooks = 2;
const staleLookPause = '4s';

/** Whoever limits the rate for longer than a day says no. */
const longestLimitMs = 24 * 60 * 60_000;
/** Limits are asked about again at least so often: times far ahead are mistakes more often than not. */
const longestWaitMs = 60 * 60_000;

/** The slowest pull that is worth waiting for, beside the smoke test's own time-out. */
const pullMs = 15 * 60_000;

export async function verify(run: Rollout): Promise<VerifiedImage> {
  const { plan, image } = run.start;
  for (let looks = 1; ; looks += 1) {
    const outcome = await takeStep(run, { step: 'verify' }, () => network.verify({ plan, image }));
    if (outcome.kind === 'skipped') return endRollout({ end: 'rejected', reason: 'not verified' });
    if (outcome.kind === 'verified') {
      run.record.identify(outcome.image);
      return outcome.image;
    }
    // A registry that is not consistent yet still names what was pushed before; one that has moved on names something new.
    if (outcome.digest !== run.lane.newest || looks > staleLooks) return endMoved(image.tag, outcome.digest);
    await sleep(staleLookPause);
  }
}

function endMoved(tag: string, digest: string): never {
  return endRollout({ end: 'superseded', reason: `${tag} is ${digest} by now`, moved: true });
}

export async function scan(run: Rollout, image: VerifiedImage): Promise<ScanSummary | Skipped | undefined> {
  const { plan } = run.start;
  if (plan.scan === undefined) return undefined;
  return await takeStep(run, { step: 'scan' }, () => scanImage({ plan, image }));
}

export async function smoke(run: Rollout, image: VerifiedImage): Promise<SmokeSummary | Skipped | undefined> {
  const { plan } = run.start;
  if (plan.smoke === undefined) return undefined;
  const { smoke: smokeTest } = proxyActivities<Pick<Activities, 'smoke'>>({
    taskQueue: taskQueues.docker,
    startToCloseTimeout: pullMs + plan.smoke.timeoutMs,
    heartbeatTimeout,
    cancellationType,
    retry: { initialInterval: '2s', maximumInterval: '1m', maximumAttempts: 15 },
  });
  return await takeStep(run, { step: 'smoke' }, () => smokeTest({ plan, image }));
}

/** Is the image still what its tag is? Between the checks and the turn, hours may have gone by. */
export async function confirm(run: Rollout, stage: StagePlan, image: VerifiedImage): Promise<void> {
  const { plan } = run.start;
  const outcome = await takeStep(run, { step: 'confirm', stage: stage.name }, () => network.confirm({ plan, image }));
  if (outcome.kind === 'moved') endMoved(image.tag, outcome.digest);
}

export async function dispatch(run: Rollout, stage: StagePlan, image: VerifiedImage): Promise<void> {
  const { plan, push } = run.start;
  await takeStep<DispatchOutcome>(run, { step: 'dispatch', stage: stage.name }, () =>
    network.dispatch({ plan, stage, image, push }),
  );
}

export async function propose(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  checks: CheckResults,
): Promise<Exclude<ProposeOutcome, RateLimited>> {
  const { plan, push, asked } = run.start;
  const input = { plan, stage, image, push, checks, ...(asked && { asked }) };
  const outcome = await takeStep(run, { step: 'propose', stage: stage.name }, () => network.propose(input));
  if (outcome.kind === 'skipped') return endRollout({ end: 'rejected', reason: 'not proposed' });
  if (outcome.kind === 'proposed') run.record.proposed(stage.name, outcome.proposal);
  return outcome;
}

/** Takes a step until it has an outcome: broken things were tried again by Temporal, a "no" waits for an operator. */
async function takeStep<Outcome extends StepOutcome>(
  run: Rollout,
  at: StepAt,
  act: () => Promise<Outcome>,
): Promise<Exclude<Outcome, RateLimited> | Skipped> {
  for (;;) {
    run.record.begin(at);
    try {
      const outcome = await pastRateLimits(run, at, act);
      run.record.settle(at, 'passed', sentenceOf(outcome));
      return outcome;
    } catch (error) {
      const failure = failureOf(error);
      if ((finalFailureTypes as readonly string[]).includes(failure.type)) {
        run.record.settle(at, 'stopped', failure.message, { failure: failure.type });
        return endRollout({ end: 'rejected', reason: `${failure.type}: ${failure.message}` });
      }
      run.record.settle(at, 'blocked', failure.message, { failure: failure.type, details: failure.details });
    }
    const decision = await run.desk.decide(at);
    if (decision !== 'retry') {
      run.record.settle(at, 'skipped', `skipped by ${decision.by}: ${decision.reason}`);
      return decision;
    }
  }
}

async function pastRateLimits<Outcome extends StepOutcome>(
  run: Rollout,
  at: StepAt,
  act: () => Promise<Outcome>,
): Promise<Exclude<Outcome, RateLimited>> {
  const started = Date.now();
  for (;;) {
    const outcome = await act();
    if (!isRateLimited(outcome)) return outcome as Exclude<Outcome, RateLimited>;
    if (Date.now() - started > longestLimitMs) {
      throw ApplicationFailure.create({
        type: 'RateLimited',
        message: 'the rate has been limited for a day',
        nonRetryable: true,
      });
    }
    run.record.settle(at, 'waiting', `asked to wait until ${outcome.until}`);
    await sleep(waitUntil(outcome.until));
    run.record.begin(at);
  }
}

function waitUntil(until: string): number {
  return Math.min(longestWaitMs, Math.max(1_000, Date.parse(until) - Date.now()));
}

function isRateLimited(outcome: StepOutcome): outcome is RateLimited {
  return outcome.kind === 'rate-limited';
}

interface Failure {
  readonly type: string;
  readonly message: string;
  readonly details: unknown;
}

/** What a person has to know of a failed activity. Cancellations and the ends of rollouts are not failures and go on up. */
function failureOf(error: unknown): Failure {
  if (isCancellation(error)) throw error;
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof TemporalFailure)) throw error;
  if (cause instanceof ApplicationFailure) {
    return { type: cause.type ?? 'Error', message: cause.message, details: cause.details?.[0] };
  }
  const type = cause instanceof TimeoutFailure ? 'Timeout' : 'Error';
  return { type, message: cause.message, details: undefined };
}
