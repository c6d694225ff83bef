import { setTimeout as pause } from 'node:timers/promises';

export interface Polling {
  /** Between the first two looks. */
  readonly firstMs: number;
  /** It grows up to this. */
  readonly longestMs: number;
}

/** A deploy takes minutes, and GitHub grants 5,000 requests an hour for everything that Landfall does. */
export const usualPolling: Polling = { firstMs: 5_000, longestMs: 30_000 };

/**
 * Looks until there is an answer.
 * @param until milliseconds since 1970; asked after each look
 * @returns undefined if there was none by then
 * @throws what aborted the signal
 */
export async function poll<Answer>(
  look: () => Promise<Answer | undefined>,
  until: () => number,
  { firstMs, longestMs }: Polling,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  for (let waitMs = firstMs; ; waitMs = Math.min(longestMs, waitMs * 1.5)) {
    signal.throwIfAborted();
    const answer = await look();
    if (answer !== undefined) return answer;
    const leftMs = until() - Date.now();
    if (leftMs <= 0) return undefined;
    await pause(Math.min(waitMs, leftMs), undefined, { signal });
  }
}
