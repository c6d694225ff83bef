import type { RateLimited } from './outcomes.ts';

const hourMs = 60 * 60_000;

/** Milliseconds to wait: at least a second, as clocks differ, and at most an hour, because a time far ahead is mostly a mistake. */
export function rateLimitMs({ until }: Pick<RateLimited, 'until'>, nowMs: number): number {
  return Math.min(hourMs, Math.max(1_000, Date.parse(until) - nowMs));
}

/** The answer itself, and not the request to wait. */
export function isAnswer<Answer extends { readonly kind: string }>(answer: Answer): answer is Exclude<Answer, RateLimited> {
  return !isRateLimited(answer);
}

export function isRateLimited(answer: { readonly kind: string }): answer is RateLimited {
  return answer.kind === 'rate-limited';
}
