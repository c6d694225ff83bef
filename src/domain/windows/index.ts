import { Temporal } from 'temporal-polyfill';
import type { WindowPlan } from '../plan.ts';
import { problemOfRecurrence, recurringTimes } from './recurrence.ts';
import { problemOfWeekly, type Times, weeklyTimes } from './weekly.ts';

/**
 * When the running system may be changed: outside of every `deny`, and inside of at least one `allow` if there is any. Whether a
 * weekly window holds is read from the clocks of its zone, so an hour that the clocks show twice counts twice.
 */
export type WindowsAnswer =
  | { readonly open: true }
  | {
      readonly open: false;
      readonly reason: string;
      /** The next moment at which it is open; absent if that is more than a year away, or never. */
      readonly until?: Date;
    };

const farthest = 366 * 86_400_000;
/** An hourly window and its opposite meet no more often than this within the year. */
const mostSteps = 20_000;

interface Window {
  readonly plan: WindowPlan;
  readonly times: Times;
}

/** It opens when one of these has ended (a `deny`), or has begun (`isAwaited`: of several `allow`, none of which holds). */
interface Closed {
  readonly isAwaited: boolean;
  readonly windows: readonly Window[];
}

/** @throws Error for windows that have a problem (see `problemOfWindow`) */
export function windowsAt(windows: readonly WindowPlan[], at: Date): WindowsAnswer {
  const all = windows.map((plan) => ({ plan, times: timesOf(plan) }));
  const closed = closedAt(all, at.getTime());
  if (closed === undefined) return { open: true };
  const until = firstOpen(all, at.getTime());
  const which = closed.windows.map(({ plan }) => describe(plan)).join(' or ');
  const reason = `${closed.isAwaited ? 'changes only' : 'no changes'} ${which}`;
  return { open: false, reason, ...(until !== undefined && { until: new Date(until) }) };
}

/** Whether it is an IANA name that Node knows, such as Europe/Stockholm or UTC; a mere offset such as +01:00 is none. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][\w+/-]*$/.test(name)) return false;
  try {
    Temporal.Now.zonedDateTimeISO(name);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** What is wrong with a window as somebody wrote it, or undefined. */
export function problemOfWindow(window: WindowPlan): string | undefined {
  if (!isTimeZone(window.timezone))
    return `expected a time zone by its IANA name, such as Europe/Stockholm or UTC, found '${window.timezone}'`;
  if ('weekly' in window) return problemOfWeekly(window.weekly);
  if (!(window.durationMs > 0)) return 'expected a duration of more than nothing';
  return problemOfRecurrence(window.recurrence, window.timezone);
}

function timesOf(plan: WindowPlan): Times {
  if ('weekly' in plan) return weeklyTimes(plan.weekly, plan.timezone);
  return recurringTimes(plan.recurrence, plan.timezone, plan.durationMs);
}

function closedAt(windows: readonly Window[], instant: number): Closed | undefined {
  const contains = ({ times }: Window) => times(true, instant, instant) !== undefined;
  const denied = windows.find((window) => window.plan.kind === 'deny' && contains(window));
  if (denied !== undefined) return { isAwaited: false, windows: [denied] };
  const allowed = windows.filter(({ plan }) => plan.kind === 'allow');
  if (allowed.length === 0 || allowed.some(contains)) return undefined;
  return { isAwaited: true, windows: allowed };
}

/** From one obstacle's end to the next: nothing in between can be open. */
function firstOpen(windows: readonly Window[], from: number): number | undefined {
  const limit = from + farthest;
  let instant = from;
  for (let step = 0; step < mostSteps && instant <= limit; step++) {
    const closed = closedAt(windows, instant);
    if (closed === undefined) return instant;
    const { isAwaited, windows: obstacles } = closed;
    const ends = obstacles.map(({ times }) => times(isAwaited, instant, limit) ?? Infinity);
    instant = Math.min(...ends);
  }
  return undefined;
}

function describe(window: WindowPlan): string {
  const times = 'weekly' in window ? window.weekly : `by ${/RRULE:(\S+)/i.exec(window.recurrence)?.[1] ?? 'a recurrence'}`;
  return `${times} (${window.timezone})${window.reason === undefined ? '' : `: ${window.reason}`}`;
}
