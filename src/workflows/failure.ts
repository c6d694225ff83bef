import { TemporalFailure } from '@temporalio/common';
import { ActivityFailure, ApplicationFailure, isCancellation, TimeoutFailure } from '@temporalio/workflow';
import { endingIn } from './rollout/ending.ts';

/** What a person has to know of something that failed for good. */
export interface Failure {
  /** As in `failureTypes` where it is a "no"; else `Timeout` or `Error`. */
  readonly type: string;
  readonly message: string;
  readonly details: unknown;
}

/** A "no" that the workflow itself has found out. */
export function refusal(type: string, message: string, details?: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message,
    nonRetryable: true,
    ...(details !== undefined && { details: [details] }),
  });
}

/** What is known of a failed activity. Cancellations and the ends of rollouts are no failures: they are thrown again. */
export function failureOf(error: unknown): Failure {
  if (isCancellation(error) || endingIn(error) !== undefined) throw error;
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof TemporalFailure)) throw error;
  if (cause instanceof ApplicationFailure) {
    return { type: cause.type ?? 'Error', message: cause.message, details: cause.details?.[0] };
  }
  const type = cause instanceof TimeoutFailure ? 'Timeout' : 'Error';
  return { type, message: cause.message, details: undefined };
}
