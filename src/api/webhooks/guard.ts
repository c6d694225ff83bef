import { randomInt } from 'node:crypto';
import { isIP } from 'node:net';
import type { Middleware } from 'koa';
import { Problem } from '../../http/problem.ts';
import { type RequestState, sourceOf } from './request.ts';

export interface GuardLimits {
  /** Requests that one source may send from one address in a minute. */
  readonly perMinute: number;
  /** Requests that are worked on at once. */
  readonly inWork: number;
}

/** GitHub sends some 15, and each proxy adds a handful. */
const mostHeaders = 100;
/** A fixed number, so that many addresses cannot fill the memory; those who share one by chance share its limit. */
const counters = 32_768;
const minuteMs = 60_000;

/**
 * Refuses, before a body is read, senders of too many requests (429), and everybody while too much is in work (503). Both are
 * told when to come back, and the outcome is `limited`. To be used inside of what answers errors and records requests.
 * @param now milliseconds, of any clock that never goes back
 */
export function guard(limits: GuardLimits, now: () => number = () => performance.now()): Middleware<RequestState> {
  const count = createCounter(limits.perMinute, now);
  let inWork = 0;
  return async (context, next) => {
    count(`${sourceOf(context.state)} ${networkOfOneSender(context.state.address)}`);
    if (context.req.rawHeaders.length > 2 * mostHeaders) {
      throw new Problem(431, 'malformed', `Expected at most ${mostHeaders} headers.`, { Connection: 'close' });
    }
    if (inWork >= limits.inWork) {
      const detail = 'Too many requests are in work. Send this one again after the time in Retry-After.';
      throw new Problem(503, 'limited', detail, { 'Retry-After': '2' });
    }
    inWork += 1;
    try {
      await next();
    } finally {
      inWork -= 1;
    }
  };
}

/** @returns a function that counts one request of a sender. It throws Problem 429 if there were too many within a minute */
function createCounter(perMinute: number, clock: () => number): (sender: string) => void {
  const counts = new Uint32Array(counters);
  /** When each minute is over, which begins with its first request. */
  const ends = new Float64Array(counters).fill(Number.NEGATIVE_INFINITY);
  // Nobody outside can work out who shares a counter with whom.
  const seed = randomInt(2 ** 32);
  // Made once for each wait: a flood must cost as little as can be.
  const refusals = new Map<number, Problem>();
  return (sender) => {
    const counter = hash(sender, seed) % counters;
    const now = clock();
    const end = ends[counter] ?? 0;
    const isOver = now >= end;
    if (isOver) ends[counter] = now + minuteMs;
    const count = isOver ? 1 : (counts[counter] ?? 0) + 1;
    counts[counter] = count;
    if (count <= perMinute) return;
    const seconds = Math.max(1, Math.ceil(((ends[counter] ?? 0) - now) / 1000));
    const detail = `Expected at most ${perMinute} requests a minute from one address. Send the rest after the time in Retry-After.`;
    const refusal = refusals.get(seconds) ?? new Problem(429, 'limited', detail, { 'Retry-After': String(seconds) });
    refusals.set(seconds, refusal);
    throw refusal;
  };
}

/** FNV-1a */
function hash(text: string, seed: number): number {
  let value = seed;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}

/**
 * What one sender has for itself: an IPv4 address, or the first 64 bits of an IPv6 address, below which anybody may choose.
 * @param address a canonical one; anything else is returned as it is
 */
export function networkOfOneSender(address: string): string {
  if (isIP(address) !== 6) return address;
  const [before = '', after] = address.split('::');
  const left = groupsOf(before);
  const right = groupsOf(after ?? '');
  const zeros = after === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}

/** IPv4 at the end stands for two groups; it is never among the first four. */
function groupsOf(text: string): string[] {
  return text
    .split(':')
    .filter((group) => group !== '')
    .flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
}
