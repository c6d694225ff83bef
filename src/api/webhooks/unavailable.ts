import type { Client } from '@temporalio/client';
import type { Log } from '../../domain/log.ts';
import { unavailable } from '../../http/problem.ts';
import { defaultDeadlineMs, inTime, isTemporalFailure, reasonOf } from '../../operations/temporal-calls.ts';

export interface TemporalCalls {
  readonly client: Client;
  readonly log: Log;
  /** How long all calls for one request may take together. */
  readonly deadlineMs?: number;
}

/**
 * @param says `logged`: what the log says where Temporal does not answer in time, or refuses; `detail`: what the sender is told
 * @throws Problem 503 then
 */
export async function orUnavailable<Result>(
  { client, log, deadlineMs = defaultDeadlineMs }: TemporalCalls,
  says: { readonly logged: string; readonly detail: string },
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await inTime(client, deadlineMs, work);
  } catch (error) {
    if (!isTemporalFailure(error)) throw error;
    log.error({ reason: reasonOf(error) }, says.logged);
    throw unavailable(says.detail, 10);
  }
}
