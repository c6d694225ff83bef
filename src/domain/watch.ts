import type { Digest } from './image-reference.ts';
import type { Reading, ReadingPoint, Unhealthy } from './outcomes.ts';
import type { HttpProbePlan, WatchPlan } from './plan.ts';

/**
 * When is something that was watched healthy, and when is it not? Pure: fed with one observation after the other, it says the verdict.
 *
 * - A failed reading counts once the start period is over, or after the first good one. More than `failures` that count in a row: unhealthy.
 * - Healthy at a good reading, once it was seen healthy for `forMs`: the time from the first good reading on, borne failures included, but
 *   only between two readings that were both answered and counted.
 * - No verdict after `withinMs` of watching: unhealthy. Time when no worker watched does not count: nothing is rolled back because
 *   Landfall itself was away.
 * - A look that got no answer is neither good nor bad. When the Docker daemon was away, the containers start again after it, so that
 *   the start period begins anew.
 *
 * Those of its times that say when are on the clock of `watchedMs`.
 */
export interface WatchState {
  /** How long it was watched, without the time when no worker did. */
  readonly watchedMs: number;
  readonly healthyMs: number;
  /** Failed readings before this do not count. */
  readonly graceEndsMs: number;
  readonly firstGoodMs?: number;
  /** Failed readings in a row that count. */
  readonly failedInRow: number;
  /** Whether the last look was answered and counted, so that the time after it is known. */
  readonly isKnown: boolean;
  readonly readings: number;
  readonly failed: number;
  readonly slowestMs: number;
  /** The newest failed readings, oldest first, at most five. */
  readonly failures: readonly Reading[];
  /** The newest answers, oldest first. Absent: begun by a worker of an earlier version. */
  readonly recent?: readonly ReadingPoint[];
  readonly last?: Reading;
  /** Somebody who knows said that it failed. */
  readonly isRefused: boolean;
}

export interface Observation {
  /** `none`: no answer, or not decided yet. `away`: the Docker daemon did not answer. `refused`: bad, and no further look will change it. */
  readonly kind: 'good' | 'bad' | 'refused' | 'none' | 'away';
  readonly reading: Reading;
  /** Since the observation before, or since the watch began or was taken up again. */
  readonly afterMs: number;
}

export type WatchVerdict = { readonly kind: 'healthy' } | UnhealthyVerdict;
interface UnhealthyVerdict {
  readonly kind: 'unhealthy';
  readonly because: 'failing' | 'refused' | 'undecided';
}

type WatchTimes = Pick<WatchPlan, 'forMs' | 'failures' | 'startPeriodMs' | 'withinMs'>;

const keptFailures = 5;
const keptPoints = 60;

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
    recent: [...(before.recent ?? []), pointOf(reading)].slice(-keptPoints),
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

function pointOf({ at, healthy, tookMs }: Reading): ReadingPoint {
  return { at, healthy, tookMs };
}

/** Undefined: not yet. */
export function watchVerdict(plan: WatchTimes, state: WatchState): WatchVerdict | undefined {
  if (state.isRefused) return { kind: 'unhealthy', because: 'refused' };
  const isSeen = state.last?.healthy === true && state.firstGoodMs !== undefined;
  if (isSeen && state.healthyMs >= plan.forMs) return { kind: 'healthy' };
  if (state.failedInRow > plan.failures) return { kind: 'unhealthy', because: 'failing' };
  if (state.watchedMs >= plan.withinMs) return { kind: 'unhealthy', because: 'undecided' };
  return undefined;
}

/** The log is added elsewhere. */
export function unhealthyDetails(state: WatchState): Omit<Unhealthy, 'log'> {
  const { readings, failed, slowestMs, failures, last, recent } = state;
  const isLastMissing = last !== undefined && !last.healthy && failures.at(-1)?.at !== last.at;
  const told = { readings, failed, slowestMs, ...(recent !== undefined && { recent }) };
  return { ...told, failures: (isLastMissing ? [...failures, last] : failures).slice(-keptFailures) };
}

/** Why, for people. */
export function unhealthyText(plan: WatchTimes, state: WatchState, because: UnhealthyVerdict['because']): string {
  const found = state.last?.text ?? 'nothing could be read';
  if (because === 'refused') return `expected it to become healthy, but ${found}`;
  if (because === 'failing') {
    return `expected it to stay healthy for ${formatSeconds(plan.forMs)}, but ${state.failedInRow} readings in a row failed (borne: ${plan.failures}); the last: ${found}`;
  }
  const seen = state.firstGoodMs !== undefined;
  const good = seen ? `it was healthy for ${formatSeconds(state.healthyMs)} only` : 'no reading was good';
  return `expected it to be healthy for ${formatSeconds(plan.forMs)} within ${formatSeconds(plan.withinMs)}, but ${good}; the last: ${found}`;
}

/** `0.4 s`, `12 s` */
export function formatSeconds(milliseconds: number): string {
  return `${milliseconds < 10_000 ? Math.round(milliseconds / 100) / 10 : Math.round(milliseconds / 1000)} s`;
}

/** The image that has to be proven to run. */
export interface ExpectedImage {
  readonly digest: Digest;
  readonly tag?: string;
  readonly revision?: string;
}

type Equals = NonNullable<HttpProbePlan['version']>['equals'];

/** What the answer has to say; undefined if that is not known of the expected image. */
export function expectedVersion(equals: Equals, expected: ExpectedImage): string | undefined {
  return equals === 'digest' ? expected.digest : expected[equals];
}

/**
 * Whether an answer names the expected version. A whole image reference is as good as its tag or digest, a digest may lack its
 * `sha256:`, and a revision may be shortened to 7 digits and more.
 */
export function isVersion(equals: Equals, found: string, expected: string): boolean {
  if (found === expected) return true;
  if (equals === 'digest') return found.endsWith(`@${expected}`) || `sha256:${found}` === expected;
  if (equals === 'tag') return (found.split('@')[0] ?? '').endsWith(`:${expected}`);
  return /^[0-9a-f]{7,}$/i.test(found) && expected.toLowerCase().startsWith(found.toLowerCase());
}

/** The value that an RFC 6901 pointer leads to, as text; undefined if there is none, or no text, number or boolean. */
export function valueAt(document: unknown, pointer: string): string | undefined {
  if (pointer !== '' && !pointer.startsWith('/')) return undefined;
  let value = document;
  for (const token of pointer.split('/').slice(1)) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    if (Array.isArray(value) && !/^(0|[1-9]\d*)$/.test(key)) return undefined;
    value = Reflect.get(value, key);
  }
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined;
}

/**
 * Restarts of containers while they are watched, by container id. Docker counts those that a restart policy makes, and begins at 0 again
 * when the daemon or a person starts the container: neither is the image's fault, and neither is counted.
 */
export type Restarts = Readonly<Record<string, { readonly count: number; readonly since: number }>>;

/**
 * @param known what was counted so far; undefined at the first reading: earlier restarts then do not count
 * @param seen `restartCount` is Docker's `RestartCount`
 * @returns `since` of each container that was ever seen
 */
export function countRestarts(known: Restarts | undefined, seen: readonly { id: string; restartCount: number }[]): Restarts {
  const counted: Record<string, { count: number; since: number }> = { ...known };
  for (const { id, restartCount } of seen) {
    const before = known?.[id] ?? { count: known === undefined ? restartCount : 0, since: 0 };
    const more = restartCount >= before.count ? restartCount - before.count : restartCount;
    counted[id] = { count: restartCount, since: before.since + more };
  }
  return counted;
}
