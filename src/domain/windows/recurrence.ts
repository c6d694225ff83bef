import { RRuleTemporal } from 'rrule-temporal';
import { Temporal } from 'temporal-polyfill';
import { messageOf } from '../errors.ts';
import type { Times } from './weekly.ts';

/**
 * Times that come back by a rule of iCalendar (RFC 5545): `DTSTART` and `RRULE`, with `EXDATE` and `RDATE` if wanted. The library
 * passes over what it does not know, a month 13 or a part `BYDAYS`, so a rule is read strictly here before it gets there.
 */

const localTime = /^\d{8}T\d{6}$/;
const wholeNumbers = (least: number, most: number, form = /^\d{1,4}$/) => {
  return (value: string) =>
    value.split(',').every((number) => {
      const amount = Math.abs(Number(number));
      return form.test(number) && amount >= least && amount <= most;
    });
};
const signed = /^[+-]?\d{1,4}$/;
const daysOfWeek = /^(?:[+-]?\d{1,2})?(?:MO|TU|WE|TH|FR|SA|SU)$/;

/** What each part of a rule may say. Finer than hourly makes no window that anybody could read. */
const parts: Readonly<Record<string, (value: string) => boolean>> = {
  FREQ: (value) => /^(?:YEARLY|MONTHLY|WEEKLY|DAILY|HOURLY)$/.test(value),
  INTERVAL: wholeNumbers(1, 1000),
  COUNT: wholeNumbers(1, 1000),
  UNTIL: (value) => /^\d{8}(?:T\d{6}Z?)?$/.test(value),
  BYHOUR: wholeNumbers(0, 23),
  BYMINUTE: wholeNumbers(0, 59),
  BYSECOND: wholeNumbers(0, 59),
  BYDAY: (value) => value.split(',').every((day) => daysOfWeek.test(day)),
  BYMONTH: wholeNumbers(1, 12),
  BYMONTHDAY: wholeNumbers(1, 31, signed),
  BYYEARDAY: wholeNumbers(1, 366, signed),
  BYWEEKNO: wholeNumbers(1, 53, signed),
  BYSETPOS: wholeNumbers(1, 366, signed),
  WKST: (value) => /^(?:MO|TU|WE|TH|FR|SA|SU)$/.test(value),
};

/** A text whose rule cannot be used; the message says why. */
class InvalidRecurrence extends Error {}

/** Far beyond what anybody plans, and near enough that a rule which counts its occurrences is counted to the end. */
const farFuture = new Date('2100-01-01T00:00:00Z');
/** Of an hourly rule, more than a year's occurrences. */
const mostOccurrences = 10_000;

/** What is wrong with a text, or undefined. The zone is one that is known. */
export function problemOfRecurrence(text: string, zone: string): string | undefined {
  try {
    const rule = ruleOf(text, zone);
    // A rule that can never happen, or takes too long to count, shows itself by an error of the library's.
    if (rule.next(new Date(0), true) === null)
      return 'expected a rule by which something happens, found one by which nothing does';
    rule.previous(farFuture, true);
    return undefined;
  } catch (error) {
    if (error instanceof InvalidRecurrence) return error.message;
    return `expected a rule of iCalendar (RFC 5545) by which something happens, found: ${messageOf(error)}`;
  }
}

/** @throws Error for a text that has a problem */
export function recurringTimes(text: string, zone: string, durationMs: number): Times {
  const rule = ruleOf(text, zone);
  /** All last equally long, so the one that began last ends last. */
  const endOf = (instant: number) => {
    const start = rule.previous(new Date(instant), true)?.epochMilliseconds;
    return start !== undefined && start + durationMs > instant ? start + durationMs : undefined;
  };
  return (isInside, from, limit) => {
    if (isInside) {
      if (endOf(from) !== undefined) return from;
      const next = from < limit ? rule.next(new Date(from), false)?.epochMilliseconds : undefined;
      return next === undefined || next > limit ? undefined : next;
    }
    let instant = from;
    for (let count = 0; count < mostOccurrences && instant <= limit; count++) {
      const end = endOf(instant);
      if (end === undefined) return instant;
      instant = end;
    }
    return undefined;
  };
}

/** The library is given the zone on every line: its own idea of a time without one is UTC. */
function ruleOf(text: string, zone: string): RRuleTemporal {
  const lines = linesOf(text);
  for (const name of ['DTSTART', 'RRULE']) {
    const found = lines.filter((line) => line.name === name).length;
    if (found !== 1) throw new InvalidRecurrence(`expected one line ${name}:…, found ${found === 0 ? 'none' : found}`);
  }
  const zoned = lines.map(({ name, value }) =>
    name === 'RRULE' ? `RRULE:${ruleParts(value, zone)}` : `${name};TZID=${zone}:${localTimes(name, value)}`,
  );
  return new RRuleTemporal({ rruleString: zoned.join('\n'), cache: false });
}

function linesOf(text: string): { readonly name: string; readonly value: string }[] {
  // A line that begins with a blank goes on with the one before (RFC 5545, 3.1).
  const lines = text.replaceAll(/\r?\n[ \t]/g, '').split(/\r?\n/);
  return lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, written = '', parameters = '', value = ''] = /^\s*([A-Za-z-]+)(;[^:]*)?:(.*?)\s*$/.exec(line) ?? [];
      const name = written.toUpperCase();
      if (!['DTSTART', 'RRULE', 'EXDATE', 'RDATE'].includes(name))
        throw new InvalidRecurrence(`expected lines DTSTART, RRULE, EXDATE and RDATE, found '${line}'`);
      if (parameters !== '')
        throw new InvalidRecurrence(`expected ${name}:… without '${parameters}': the zone is said by timezone, found '${line}'`);
      return { name, value: value.toUpperCase() };
    });
}

function localTimes(name: string, value: string): string {
  const times = name === 'DTSTART' ? [value] : value.split(',');
  if (times.every((time) => readLocalTime(time) !== undefined)) return value;
  throw new InvalidRecurrence(`expected ${name} as a local time such as 20260131T090000, found '${value}'`);
}

function ruleParts(value: string, zone: string): string {
  const seen = new Set<string>();
  const written = value.replace(/;$/, '').split(';');
  const read = written.map((part) => {
    const [name = '', ...rest] = part.split('=');
    const text = rest.join('=');
    const takes = Object.hasOwn(parts, name) ? parts[name] : undefined;
    if (takes === undefined)
      throw new InvalidRecurrence(`expected the parts ${Object.keys(parts).join(', ')} in RRULE, found '${part}'`);
    if (seen.has(name) || !takes(text))
      throw new InvalidRecurrence(
        `expected ${name} once and as in RFC 5545 (${name === 'FREQ' ? 'YEARLY, MONTHLY, WEEKLY, DAILY or HOURLY' : 'INTERVAL and COUNT are at most 1000'}), found '${part}'`,
      );
    seen.add(name);
    return `${name}=${name === 'UNTIL' ? untilInUtc(text, zone) : text}`;
  });
  if (seen.has('COUNT') && seen.has('UNTIL')) throw new InvalidRecurrence('expected COUNT or UNTIL, not both');
  return read.join(';');
}

/** With a zone, RFC 5545 wants the end in UTC; but with local times a local end is meant. A day is left to the library. */
function untilInUtc(until: string, zone: string): string {
  if (!localTime.test(until)) return until;
  const local = readLocalTime(until);
  if (local === undefined)
    throw new InvalidRecurrence(`expected UNTIL as a local time such as 20261231T235959, found '${until}'`);
  return inBasicForm(local.toZonedDateTime(zone).toInstant());
}

/** `20260131T090000`; undefined for any other form, and for a day or an hour that does not exist. */
function readLocalTime(text: string): Temporal.PlainDateTime | undefined {
  if (!localTime.test(text)) return undefined;
  try {
    const read = Temporal.PlainDateTime.from(text);
    // Temporal takes the second 60, and makes 59 of it.
    return inBasicForm(read) === text ? read : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** `20260131T090000`, and with a `Z` for an instant: the only form that iCalendar has. */
function inBasicForm(time: Temporal.PlainDateTime | Temporal.Instant): string {
  return time.toString({ smallestUnit: 'second' }).replaceAll(/[-:]/g, '');
}
