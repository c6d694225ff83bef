import { allHandlersFinished, condition, continueAsNew, proxyActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { FollowUpActivities } from '../../contracts/activities/lane.ts';
import { type LaneStart, laneQuery } from '../../contracts/messages.ts';
import { emptyLane, type LaneState } from '../../domain/lane/state.ts';
import { someoneWaits } from '../../domain/lane/turns.ts';
import { forgetEnded, forgetEndedWhileWaiting, type Members } from '../ended-members.ts';
import { historyIsLong } from '../long-history.ts';
import { answerOperators } from './operators.ts';
import { LaneOutbox } from './outbox.ts';
import { answerRollouts } from './rollouts.ts';

/*
 * Who speaks to whom:
 *
 *   rollout (workflow)                                    operator (command)
 *      | rollout/lane-client.ts                              |
 *      v                                                     |
 *   local activity  activities/lane.ts                       |
 *      | update: enter, requestTurn, beginChange, ...        | update: hold, pin, rollback, promote, ...
 *      v                                                     v
 *   lane (workflow) rollouts.ts -----------------------   operators.ts
 *      |            both apply the rules of domain/lane to one LaneState, answer at once, and
 *      v            put what others have to hear into the outbox
 *   outbox.ts
 *      | signal: grant, supersede, progress                  | pending starts: activity startRollback, startPromotion
 *      v                                                     v
 *   rollout (workflow), in rollout/lane-client.ts         a new rollback or rollout
 */

/** An operator was told that it will be started: it is tried until it is. */
const { startRollback, startPromotion } = proxyActivities<Pick<FollowUpActivities, 'startRollback' | 'startPromotion'>>({
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '1s', maximumInterval: '1m' },
});

/** The long-lived workflow of one service: who goes before whom, what its stages run, and what became of every image. */
export async function lane(start: LaneStart): Promise<never> {
  const { service, state, pendingStarts = [], checkEveryMs = 60_000, longestHistory = 4_000 } = start;
  // Turn numbers rise also when a lane is terminated and begun anew: a host refuses a deploy by a lower one.
  const memory = state ?? emptyLane(workflowInfo().startTime.getTime());
  const outbox = new LaneOutbox(memory, pendingStarts);
  const members = membersOf(memory, outbox);
  setHandler(laneQuery, () => memory);
  answerRollouts(memory, outbox);
  answerOperators({ service, memory, outbox });
  return await Promise.race([
    forgetEndedWhileWaiting(members, checkEveryMs),
    flushOutbox(outbox, members, { service, state: memory, checkEveryMs, longestHistory }),
    startPending(outbox),
  ]);
}

function membersOf(memory: LaneState, outbox: LaneOutbox): Members {
  return {
    all: () => Object.entries(memory.members).map(([rollout, { runId }]) => ({ rollout, runId })),
    someoneWaits: () => someoneWaits(memory),
    forget: (ended) => outbox.forgetRun(ended),
  };
}

/** Before the lane continues as new, it forgets ended rollouts, lets all handlers finish and sends what they wrote. */
async function flushOutbox(
  outbox: LaneOutbox,
  members: Members,
  next: LaneStart & { readonly longestHistory: number },
): Promise<never> {
  for (;;) {
    await condition(() => !outbox.isEmpty || historyIsLong(next.longestHistory));
    await outbox.flush();
    if (!historyIsLong(next.longestHistory)) continue;
    await forgetEnded(members);
    await condition(allHandlersFinished);
    if (outbox.isEmpty) await continueAsNew<typeof lane>({ ...next, pendingStarts: outbox.pendingStarts });
  }
}

/** One after the other. One that is under way when the lane continues as new is run again, and finds what it did. */
async function startPending({ pendingStarts }: LaneOutbox): Promise<never> {
  for (;;) {
    await condition(() => pendingStarts.length > 0);
    const [pending] = pendingStarts;
    if (pending?.kind === 'rollback') await startRollback(pending.start);
    if (pending?.kind === 'promotion') await startPromotion(pending.start);
    pendingStarts.shift();
  }
}
