import type { Reading, Unhealthy } from './outcomes.ts';
import type { WatchPlan } from './plan.ts';
import { formatSeconds } from './seconds.ts';

/**
 * When is something that was watched healthy, and when is it not? Pure: fed with one observation after the other, it says the verdict.
 *
 * - A failed reading counts once the start period is over, or after the first good one. More than `failures` that count in a row:
 *   unhealthy.
 * - Healthy at a good reading, once it was seen healthy for `forMs`: the time from the first good reading on, borne failures included, but
 *   only between two readings that were both answered and counted. Time without readings does not count as healthy.
 * - No verdict after `withinMs` of watching: unhealthy. Time when no worker watched does not count: nothing is rolled back because
 *   Landfall itself was away.
 * - A look that got no answer is neither good nor bad. When the Docker daemon was away, the containers start again after it, so that
 *   the start period begins anew.
 */
export interface WatchState {
  /** How long it was watched, without the time when no worker did. */
  readonly watchedMs: number;
  readonly healthyMs: number;
  /** On the clock of `watchedMs`: failed readings before this do not count. */
  readonly graceEndsMs: number;
  /** Failed readings in a row that count. */
  readonly failedInRow: number;
  /** Whether the last look was answered and counted, so that the time after it is known. */
  readonly isKnown: boolean;
  /** On the clock of `watchedMs`. */
  readonly firstGoodMs?: number;
  readonly readings: number;
  readonly failed: number;
  readonly slowestMs: number;
  /** The newest failed readings, oldest first, at most five. */
  readonly failures: readonly Reading[];
  readonly last?: Reading;
  /** Somebody who knows said that it failed. */
  readonly isRefused: boolean;
}

export interface Observation {
  /**
   * `none`: no answer, or one that is not decided yet. `away`: the Docker daemon of the containers did not answer. `refused`: bad, and no
   * further look will change it.
   */
  readonly kind: 'good' | 'bad' | 'refused' | 'none' | 'away';
  readonly reading: Reading;
  /** Since the observation before, or since the watch began or was taken up again. */
  readonly afterMs: number;
}

export type WatchVerdict =
  | { readonly kind: 'healthy' }
  | { readonly kind: 'unhealthy'; readonly because: 'failing' | 'refused' | 'undecided' };

type WatchTimes = Pick<WatchPlan, 'forMs' | 'failures' | 'startPeriodMs' | 'withinMs'>;

const keptFailures = 5;

export function beginWatch(plan: WatchTimes): WatchState {
  return {
    watchedMs: 0,
    healthyMs: 0,
    graceEndsMs: plan.startPeriodMs,
    failedInRow: 0,
    isKnown: false,
    readings: 0,
    failed: 0,
    slowestMs: 0,
    failures: [],
    isRefused: false,
  };
}

/** Resumes after an interruption, which does not count. */
export function resumeWatch(state: WatchState): WatchState {
  return { ...state, isKnown: false };
}

export function observe(plan: WatchTimes, before: WatchState, { kind, reading, afterMs }: Observation): WatchState {
  const watchedMs = before.watchedMs + Math.max(0, afterMs);
  const looked = { ...before, watchedMs, last: reading };
  if (kind === 'none') return { ...looked, isKnown: false };
  if (kind === 'away') return { ...looked, isKnown: false, graceEndsMs: watchedMs + plan.startPeriodMs };
  const isHealthyTime = before.isKnown && before.firstGoodMs !== undefined;
  const answered = {
    ...looked,
    readings: before.readings + 1,
    slowestMs: Math.max(before.slowestMs, reading.tookMs),
    healthyMs: before.healthyMs + (isHealthyTime ? Math.max(0, afterMs) : 0),
  };
  if (kind === 'good') {
    const firstGoodMs = before.firstGoodMs ?? watchedMs;
    return { ...answered, firstGoodMs, failedInRow: 0, isKnown: true, graceEndsMs: Math.min(before.graceEndsMs, watchedMs) };
  }
  const failures = [...before.failures, reading].slice(-keptFailures);
  const failed = { ...answered, failed: before.failed + 1, failures, isRefused: kind === 'refused' };
  if (watchedMs < before.graceEndsMs) return { ...failed, healthyMs: before.healthyMs, isKnown: false };
  return { ...failed, failedInRow: before.failedInRow + 1, isKnown: true };
}

/** Undefined: not yet. */
export function watchVerdict(plan: WatchTimes, state: WatchState): WatchVerdict | undefined {
  if (state.isRefused) return { kind: 'unhealthy', because: 'refused' };
  const isGood = state.last?.healthy === true;
  if (isGood && state.firstGoodMs !== undefined && state.healthyMs >= plan.forMs) return { kind: 'healthy' };
  if (state.failedInRow > plan.failures) return { kind: 'unhealthy', because: 'failing' };
  if (state.watchedMs >= plan.withinMs) return { kind: 'unhealthy', because: 'undecided' };
  return undefined;
}

/** Details of a watch that failed; the log is added elsewhere. */
export function unhealthyDetails(state: WatchState): Omit<Unhealthy, 'log'> {
  const { readings, failed, slowestMs, failures, last } = state;
  const isLastMissing = last !== undefined && !last.healthy && failures.at(-1)?.at !== last.at;
  return { readings, failed, slowestMs, failures: (isLastMissing ? [...failures, last] : failures).slice(-keptFailures) };
}

/** Why, for people. */
export function unhealthyText(plan: WatchTimes, state: WatchState, because: 'failing' | 'refused' | 'undecided'): string {
  const found = state.last?.text ?? 'nothing could be read';
  if (because === 'refused') return `expected it to become healthy, but ${found}`;
  if (because === 'failing') {
    return `expected it to stay healthy for ${formatSeconds(plan.forMs)}, but ${state.failedInRow} readings in a row failed (borne: ${plan.failures}); the last: ${found}`;
  }
  const good =
    state.firstGoodMs === undefined ? 'no reading was good' : `it was healthy for ${formatSeconds(state.healthyMs)} only`;
  return `expected it to be healthy for ${formatSeconds(plan.forMs)} within ${formatSeconds(plan.withinMs)}, but ${good}; the last: ${found}`;
}
