import { setTimeout as pause } from 'node:timers/promises';
import { slowest } from './time-limits.cjs';

const firstPauseMs = 20;
/** Every look costs something, and often more than the wait: a query of a workflow takes a worker and the server some 10 ms. */
const longestPauseMs = 300;

/**
 * Asks until the answer is there, at first often and then more seldom, and fails with what was waited for when it does not come in time. What
 * has to be seen at once is to be awaited instead.
 * @param what as words, or what gives them once it did not come
 * @param usualMs how long it may take on a machine that does little else
 */
export async function eventually<Answer>(
  what: string | (() => string),
  ask: () => Promise<Answer | undefined | false>,
  usualMs = 30_000,
): Promise<Answer> {
  const withinMs = usualMs * slowest;
  const deadline = Date.now() + withinMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 1.2, longestPauseMs)) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${withinMs} ms for ${typeof what === 'string' ? what : what()}`);
    await pause(pauseMs);
  }
}
