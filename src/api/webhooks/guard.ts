import { randomInt } from 'node:crypto';
import type { Middleware } from 'koa';
import { Problem } from '../../http/problem.ts';
import { createKnownNetworks, createShares, type KnownNetworks } from '../../http/shares.ts';
import { type RequestState, sourceOf } from './request.ts';

export interface GuardLimits {
  /** Requests that one source may send from one address in a minute. */
  readonly perMinute: number;
  /** Requests that are worked on at once: how many of them may be of one network, `createShares` says. */
  readonly inWork: number;
}

/** GitHub sends some 15, and each proxy adds a handful. */
const mostHeaders = 100;
/** A fixed number, so that many addresses cannot fill the memory; those who share one by chance share its limit. */
const counters = 32_768;
const minuteMs = 60_000;

/** Made once: a flood must cost as little as can be. */
const tooManyHeaders = new Problem(431, 'malformed', `Expected at most ${mostHeaders} headers.`, { Connection: 'close' });
const tooMuchInWork = new Problem(
  503,
  'limited',
  'Too many requests are in work. Send this one again after the time in Retry-After.',
  { 'Retry-After': '2' },
);

/**
 * Refuses, before a body is read, senders of too many requests (429), and whoever has its share of what is in work (503). Both are told
 * when to come back, and the outcome is `limited`. To be used inside of what answers errors and records requests.
 * @param now milliseconds, of any clock that never goes back
 * @param known for whom some of the places in work are kept
 */
export function guard(
  limits: GuardLimits,
  now: () => number = () => performance.now(),
  known: Pick<KnownNetworks, 'has'> = createKnownNetworks(),
): Middleware<RequestState> {
  const count = createCounter(limits.perMinute, now);
  const inWork = createShares(limits.inWork, known);
  return async (context, next) => {
    const { network } = context.state;
    count(`${sourceOf(context.state)} ${network}`);
    if (context.req.rawHeaders.length > 2 * mostHeaders) throw tooManyHeaders;
    if (!inWork.take(network)) throw tooMuchInWork;
    try {
      await next();
    } finally {
      inWork.giveBack(network);
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
