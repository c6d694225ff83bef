import { condition, continueAsNew, proxyActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { FollowUpActivities } from '../../contracts/activities/lane.ts';
import {
  beginChangeUpdate,
  enterUpdate,
  type LaneStart,
  laneQuery,
  leaveUpdate,
  notRolledBackUpdate,
  releaseTurnUpdate,
  requestTurnUpdate,
  rolledBackUpdate,
  runningUpdate,
  supersedeSignal,
  verifiedUpdate,
} from '../../contracts/messages.ts';
import { everyRun } from '../../domain/decision-proof.ts';
import { membersOf } from '../../domain/lane/decisions.ts';
import { enter, leave, verified } from '../../domain/lane/members.ts';
import { begin, notRolledBack, ran, rolledBack } from '../../domain/lane/stages.ts';
import { emptyLane, type LaneState } from '../../domain/lane/state.ts';
import { release, request, someoneWaits } from '../../domain/lane/turns.ts';
import { answerUpdate, forgetEnded, forgetEndedWhileWaiting, type Members, sendUntilLong } from '../long-lived.ts';
import { DecisionCounter } from '../operator-decision.ts';
import { aboutLane, answerOperators } from './operators.ts';
import { LaneOutbox } from './outbox.ts';

/*
 * Who speaks to whom:
 *
 *   rollout (workflow)                                    operator (command)
 *      | rollout/lane-client.ts                              |
 *      v                                                     |
 *   local activity  activities/lane.ts                       |
 *      | update: enter, requestTurn, beginChange, ...        | update: hold, pin, rollback, promote, ...
 *      v                                                     v
 *   lane (workflow) lane.ts ---------------------------   operators.ts
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
  const { service, state, checkEveryMs = 60_000, longestHistory = 4_000, decided } = start;
  // Turn numbers rise also when a lane is terminated and begun anew: a host refuses a deploy by a lower one.
  const memory = state ?? emptyLane(workflowInfo().startTime.getTime());
  const outbox = new LaneOutbox(memory, start);
  const members: Members = {
    all: () => Object.entries(memory.members).map(([rollout, { runId }]) => ({ rollout, runId })),
    someoneWaits: () => someoneWaits(memory),
    forget: (ended) => outbox.forgetRun(ended),
  };
  setHandler(laneQuery, () => memory);
  answerRollouts(memory, outbox);
  // As those of turns, the numbers of decisions rise also when the lane is begun anew: a proof of its earlier life counts for nothing.
  const counter = new DecisionCounter(
    () => aboutLane({ service, memory }),
    decided ?? workflowInfo().startTime.getTime(),
    everyRun,
  );
  answerOperators({ service, memory, outbox, counter });
  const again = () => {
    const { pendingStarts, messages } = outbox;
    const carried = { service, state: memory, checkEveryMs, longestHistory, decided: counter.decided };
    return continueAsNew<typeof lane>({ ...carried, pendingStarts, messages });
  };
  return await Promise.race([
    forgetEndedWhileWaiting(members, checkEveryMs),
    sendUntilLong(outbox, longestHistory, again, () => forgetEnded(members)),
    startPending(outbox),
  ]);
}

/** What a lane answers to rollouts: the rules of `domain/lane`, and who has to be told. */
function answerRollouts(memory: LaneState, outbox: LaneOutbox): void {
  answerUpdate(enterUpdate, (entry) => {
    const { answer, grants } = enter(memory, entry);
    outbox.grantAll(grants);
    return answer;
  });
  answerUpdate(verifiedUpdate, (report) => {
    const { answer, superseded } = verified(memory, report);
    for (const older of superseded) outbox.enqueue(older, supersedeSignal, { by: report.rollout, where: 'checks' });
    return answer;
  });
  answerUpdate(requestTurnUpdate, (turn) => {
    const { answer, superseded, grants } = request(memory, turn);
    for (const older of superseded) outbox.enqueue(older, supersedeSignal, { by: turn.rollout, where: { stage: turn.stage } });
    outbox.grantAll(grants);
    return answer;
  });
  answerUpdate(beginChangeUpdate, ({ externalHold, ...change }) => begin(memory, change, externalHold));
  answerUpdate(runningUpdate, (report) => ran(memory, report));
  answerUpdate(rolledBackUpdate, (report) => {
    const others = membersOf(memory, rolledBack(memory, report)).filter((rollout) => rollout !== report.rollout);
    outbox.nudge(others, `${report.digest} was rolled back and is in quarantine`);
  });
  answerUpdate(notRolledBackUpdate, (report) => notRolledBack(memory, report));
  answerUpdate(releaseTurnUpdate, (report) => outbox.grantAll(release(memory, report)));
  answerUpdate(leaveUpdate, (leaving) => outbox.grantAll(leave(memory, leaving)));
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
