/** How long to wait where a server limits us without saying for how long. */
const defaultWaitMs = 60_000;
/** Docker Hub counts in windows of six hours; longer than a day is nobody's limit but a mistake. */
const longestWaitMs = 24 * 3_600_000;

/**
 * The time that a `Retry-After` header names, in seconds or as a date (RFC 9110, section 10.2.3): at least a second, at most a day from
 * now, and a minute where it is missing or unreadable.
 */
export function retryAfter(header: string | null, nowMs: number): Date {
  const text = header?.trim() ?? '';
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  const bounded = Number.isNaN(waitMs) ? defaultWaitMs : Math.min(Math.max(waitMs, 1_000), longestWaitMs);
  return new Date(nowMs + bounded);
}
