import { Context } from '@temporalio/activity';

/** A third of the heartbeat timeout that workflows set, so that two may be lost. */
const heartbeatEveryMs = 3_000;

/**
 * Heartbeats while a piece of work goes on that waits for others, and leaves it at once when the activity is cancelled. Only for work
 * that may be left at any point, such as reading.
 * @throws CancelledFailure, or what the work throws
 */
export async function heartbeating<Result>(work: () => Promise<Result>): Promise<Result> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), heartbeatEveryMs);
  try {
    return await Promise.race([work(), context.cancelled]);
  } finally {
    clearInterval(beat);
  }
}
