import type { UpdateDefinition } from '@temporalio/common';
import { allHandlersFinished, condition, proxyActivities, setHandler, sleep, workflowInfo } from '@temporalio/workflow';
import type { FollowUpActivities } from '../contracts/activities/lane.ts';
import type { RolloutRun } from '../domain/lane/state.ts';

const { findEnded } = proxyActivities<Pick<FollowUpActivities, 'findEnded'>>({
  startToCloseTimeout: '1 minute',
  summary: 'do the rollouts that hold or wait for a turn still run?',
});

/** Whether a long-lived workflow should continue as new. @param longestHistory in events */
export function historyIsLong(longestHistory: number): boolean {
  return workflowInfo().historyLength > longestHistory || workflowInfo().continueAsNewSuggested;
}

/**
 * Answers an update that is always taken. It has a validator all the same: one that is not sealed is refused there, and leaves nothing in the
 * history of a workflow that never ends.
 */
export function answerUpdate<Answer, Asked>(
  update: UpdateDefinition<Answer, [Asked]>,
  answer: (asked: Asked) => Answer | Promise<Answer>,
): void {
  setHandler(update, answer, { validator: (_asked: Asked) => undefined });
}

interface Messages {
  areLeft(): boolean;
  sendNext(): Promise<void>;
}

/**
 * Sends what handlers have left to be sent. Once history is long and all handlers have finished, it continues as new, and hands on what is
 * left: a workflow that is always asked would never find a moment with nothing left, until the server takes no more updates (2,000 a run).
 * @param before what is still to be done in this run
 */
export async function sendUntilLong(
  messages: Messages,
  longestHistory: number,
  again: () => Promise<never>,
  before: () => Promise<void> = async () => undefined,
): Promise<never> {
  for (;;) {
    await condition(() => messages.areLeft() || historyIsLong(longestHistory));
    if (!historyIsLong(longestHistory)) {
      await messages.sendNext();
      continue;
    }
    await before();
    await condition(allHandlersFinished);
    await again();
  }
}

/** The rollouts that hold or wait for a turn. */
export interface Members {
  all(): readonly RolloutRun[];
  someoneWaits(): boolean;
  forget(ended: RolloutRun): void;
}

/** While somebody waits, those that have ended are forgotten: a rollout that was terminated never blocks others. */
export async function forgetEndedWhileWaiting(members: Members, checkEveryMs: number): Promise<never> {
  for (;;) {
    await condition(() => members.someoneWaits());
    await forgetEnded(members);
    await sleep(checkEveryMs);
  }
}

export async function forgetEnded(members: Members): Promise<void> {
  for (const ended of await findEnded({ members: members.all() })) members.forget(ended);
}
