import { Context } from '@temporalio/activity';

/**
 * Leaves a piece of work at once when the activity is cancelled. Only for work that may be left at any point, such as reading.
 * @throws CancelledFailure, or what the work throws
 */
export async function leaveWhenCancelled<Result>(work: () => Promise<Result>): Promise<Result> {
  return await Promise.race([work(), Context.current().cancelled]);
}
