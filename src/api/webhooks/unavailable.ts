import type { Log } from '../../domain/log.ts';
import { Problem } from '../../http/problem.ts';
import { isTemporalFailure, reasonOf } from '../../operations/in-time.ts';

const retryAfterSeconds = 10;

/**
 * @param says `logged`: what the log says; `detail`: what the sender is told
 * @returns what to throw: Problem 503 for a failure of Temporal, and any other error as it is
 */
export function unavailable(error: unknown, log: Log, says: { readonly logged: string; readonly detail: string }): unknown {
  if (!isTemporalFailure(error)) return error;
  log.error({ reason: reasonOf(error) }, says.logged);
  return new Problem(503, 'unavailable', says.detail, { 'Retry-After': String(retryAfterSeconds) });
}
