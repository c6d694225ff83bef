import { ApplicationFailure, Context } from '@temporalio/activity';
import { Refusal } from '../domain/failures.ts';
import type { Dependencies } from './dependencies.ts';

/** How long "not found" is not believed: registries are not always consistent at once, and a webhook may overtake its push. */
const defaultNotFoundForMs = 120_000;
const retryAfter = '5 seconds';

/** How long to retry what is not found, in milliseconds from the first time that the activity was scheduled. */
export type NotFoundWindow = Required<Pick<Dependencies, 'notFoundForMs' | 'now'>>;

export function windowOf({
  notFoundForMs = defaultNotFoundForMs,
  now = () => new Date(),
}: Partial<NotFoundWindow>): NotFoundWindow {
  return { notFoundForMs, now };
}

/** Whether the activity, over all its attempts, has retried for long enough. */
export function isWindowOver({ notFoundForMs, now }: NotFoundWindow): boolean {
  return now().getTime() - Context.current().info.scheduledTimestampMs >= notFoundForMs;
}

/**
 * The failure for something that is not in the registry: to be tried again soon, and final (a `Refusal`) once the window is over. Both are
 * of type `NotInRegistry`.
 */
export function notInRegistry(what: string, window: NotFoundWindow): Error {
  const type = 'NotInRegistry';
  const seconds = Math.round(window.notFoundForMs / 1_000);
  if (isWindowOver(window)) {
    return new Refusal(
      type,
      `${what} is not in the registry, and was not for ${seconds} s; it was deleted, or pushed somewhere else: check its name, or push it again`,
    );
  }
  const message = `${what} is not in the registry yet; looked for again every ${retryAfter}, for ${seconds} s in all`;
  return ApplicationFailure.create({ type, message, nonRetryable: false, nextRetryDelay: retryAfter });
}

/**
 * A digest mismatch may be temporary (a half-filled cache, a truncated answer), so it is retried within the window. Any other error stays
 * as it is.
 */
export function retryWithinWindow(error: unknown, window: NotFoundWindow): unknown {
  if (!(error instanceof Refusal) || error.type !== 'DigestMismatch' || isWindowOver(window)) return error;
  const { type } = error;
  const message = `${error.message} (asked again every ${retryAfter}, for ${window.notFoundForMs / 1_000} s in all)`;
  return ApplicationFailure.create({ type, message, nonRetryable: false, nextRetryDelay: retryAfter, cause: error });
}
