import { Temporal } from 'temporal-polyfill';

/** The first instant from `from` on that is inside (or outside) the times of a window, and none after `limit`. In milliseconds since 1970 UTC. */
export type Times = (isInside: boolean, from: number, limit: number) => number | undefined;

/** Times that come back every week, as people write them: `Fri 16:00 - Mon 08:00`, `Mon-Fri 09:00-17:00`, `Sat,Sun`, `22:00-06:00`. */

/** In minutes, by the clocks of the zone; `from` counts from Monday 00:00. It may go over the end of the week. */
interface Span {
  readonly from: number;
  readonly length: number;
}

const minutesOfDay = 24 * 60;
const minutesOfWeek = 7 * minutesOfDay;
const minute = 60_000;
const week = minutesOfWeek * minute;

const days = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
const dayPattern = `(?:${days.map((name) => `${name.slice(0, 3)}(?:${name.slice(3)})?`).join('|')})`;
const timePattern = String.raw`(?:[01]?\d|2[0-3]):[0-5]\d|24:00`;
const acrossDays = new RegExp(
  `^(?<firstDay>${dayPattern}) (?<from>${timePattern}) ?- ?(?<lastDay>${dayPattern}) (?<to>${timePattern})$`,
  'i',
);
const withinDays = new RegExp(
  `^(?<days>${dayPattern}(?: ?[-,] ?${dayPattern})*)?(?:(?:^| )(?<from>${timePattern}) ?- ?(?<to>${timePattern}))?$`,
  'i',
);

/** What is wrong with a text, or undefined. */
export function problemOfWeekly(text: string): string | undefined {
  const read = readWeekly(text);
  return 'problem' in read ? read.problem : undefined;
}

/** @throws Error for a text that has a problem */
export function weeklyTimes(text: string, zone: string): Times {
  const read = readWeekly(text);
  if ('problem' in read) throw new Error(read.problem);
  const { spans } = read;
  const edges = spans.flatMap(({ from, length }) => [from * minute, (from + length) * minute]);
  const clocks = (instant: number) => Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(zone);
  const timeOfWeek = (instant: number) => {
    const { dayOfWeek, hour, minute: minutes, second, millisecond } = clocks(instant);
    return (((dayOfWeek - 1) * 24 + hour) * 60 + minutes) * minute + second * 1000 + millisecond;
  };
  const contains = (instant: number) => {
    const time = timeOfWeek(instant);
    return spans.some(({ from, length }) => modulo(time - from * minute, week) < length * minute);
  };
  return (isInside, from, limit) => {
    let instant = from;
    while (instant <= limit) {
      if (contains(instant) === isInside) return instant;
      if (instant === limit) return undefined;
      const time = timeOfWeek(instant);
      const edge = instant + Math.min(...edges.map((at) => modulo(at - time, week) || week));
      // Where the clocks are set before the edge is reached, it comes earlier or later than it seems.
      const change = clocks(instant).getTimeZoneTransition('next')?.epochMilliseconds;
      instant = Math.min(edge, change ?? edge);
    }
    return undefined;
  };
}

function readWeekly(written: string): { readonly spans: readonly Span[] } | { readonly problem: string } {
  const text = written.trim().replaceAll(/\s+/g, ' ').replaceAll('–', '-');
  const across = acrossDays.exec(text)?.groups;
  if (across !== undefined) {
    const from = dayNumber(across.firstDay) * minutesOfDay + minutesOf(across.from);
    const to = dayNumber(across.lastDay) * minutesOfDay + minutesOf(across.to);
    const length = modulo(to - from, minutesOfWeek);
    return length === 0 ? sameTwice(written) : { spans: [{ from, length }] };
  }
  const within = text === '' ? undefined : withinDays.exec(text)?.groups;
  if (within === undefined) return notUnderstood(written);
  const from = minutesOf(within.from ?? '00:00');
  const to = minutesOf(within.to ?? '24:00');
  if (from === to) return sameTwice(written);
  if (from === minutesOfDay) return notUnderstood(written);
  const length = modulo(to - from, minutesOfDay) || minutesOfDay;
  return { spans: daysOf(within.days).map((day) => ({ from: day * minutesOfDay + from, length })) };
}

function daysOf(list: string | undefined): number[] {
  if (list === undefined) return days.map((_, index) => index);
  return list.split(',').flatMap((item) => {
    const [first, last] = item.split('-').map(dayNumber);
    if (first === undefined) return [];
    const count = last === undefined ? 1 : modulo(last - first, 7) + 1;
    return Array.from({ length: count }, (_, index) => (first + index) % 7);
  });
}

function dayNumber(name = ''): number {
  return days.findIndex((day) => day.startsWith(name.trim().toLowerCase().slice(0, 3)));
}

function minutesOf(time = ''): number {
  const [hours, minutes] = time.split(':').map(Number);
  return (hours ?? 0) * 60 + (minutes ?? 0);
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

function sameTwice(text: string) {
  return { problem: `expected two different times (00:00-24:00 is the whole day), found '${text}'` };
}

function notUnderstood(text: string) {
  return {
    problem: `expected times of the week such as 'Fri 16:00 - Mon 08:00', 'Mon-Fri 09:00-17:00', 'Sat,Sun' or '22:00-06:00', found '${text}'`,
  };
}
