import { ApplicationFailure, Context } from '@temporalio/activity';
import { Refusal } from '../domain/failures.ts';

/** How long "not found" is not believed: registries are not always consistent at once, and a webhook may overtake its push. */
export const defaultNotFoundForMs = 120_000;
const lookAgainAfter = '5 seconds';

/** How long to keep looking for what is not found. */
export interface Patience {
  /** Milliseconds, from the first time that the activity was scheduled. */
  readonly notFoundForMs: number;
  readonly now: () => Date;
}

/** Whether the activity, however often it was tried, has looked for long enough. */
export function isPatienceOver({ notFoundForMs, now }: Patience): boolean {
  return now().getTime() - Context.current().info.scheduledTimestampMs >= notFoundForMs;
}

/**
 * The failure for something that is not in the registry: to be tried again soon, and final (a `Refusal`) once patience is over. Both are
 * of type `NotInRegistry`.
 */
export function notInRegistry(what: string, patience: Patience): Error {
  const type = 'NotInRegistry';
  const seconds = Math.round(patience.notFoundForMs / 1_000);
  if (isPatienceOver(patience)) {
    return new Refusal(
      type,
      `${what} is not in the registry, and was not for ${seconds} s; it was deleted, or pushed somewhere else: check its name, or push it again`,
    );
  }
  const message = `${what} is not in the registry yet; looked for again every ${lookAgainAfter}, for ${seconds} s in all`;
  return ApplicationFailure.create({ type, message, nonRetryable: false, nextRetryDelay: lookAgainAfter });
}

/**
 * Bytes that do not have their digest may be of a moment (a cache half-way, an answer that was cut on its way): to be tried again while
 * there is patience. Any other error stays what it is.
 */
export function whilePatient(error: unknown, patience: Patience): unknown {
  if (!(error instanceof Refusal) || error.type !== 'DigestMismatch' || isPatienceOver(patience)) return error;
  const message = `${error.message} (asked again every ${lookAgainAfter}, for ${patience.notFoundForMs / 1_000} s in all)`;
  return ApplicationFailure.create({
    type: error.type,
    message,
    nonRetryable: false,
    nextRetryDelay: lookAgainAfter,
    cause: error,
  });
}
