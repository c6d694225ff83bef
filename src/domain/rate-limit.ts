import { waitFor } from './failures.ts';
import type { RateLimited } from './outcomes.ts';

const hourMs = 60 * 60_000;

/**
 * How long to wait before asking again, in milliseconds: at least a second, and at most an hour, because a time far ahead is a mistake more
 * often than not.
 */
export function rateLimitMs({ until }: Pick<RateLimited, 'until'>, nowMs: number): number {
  return waitFor(until, hourMs, nowMs);
}

/** The answer itself, and not the request to wait. */
export function isAnswer<Answer extends { readonly kind: string }>(answer: Answer): answer is Exclude<Answer, RateLimited> {
  return answer.kind !== 'rate-limited';
}

/** @returns the request to wait, where that is the answer */
export function rateLimitIn(answer: { readonly kind: string }): RateLimited | undefined {
  return isRateLimited(answer) ? answer : undefined;
}

function isRateLimited(answer: { readonly kind: string }): answer is RateLimited {
  return answer.kind === 'rate-limited';
}
