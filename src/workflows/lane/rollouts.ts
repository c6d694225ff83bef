import { setHandler } from '@temporalio/workflow';
import {
  beginChangeUpdate,
  enterUpdate,
  leaveUpdate,
  notRolledBackUpdate,
  releaseTurnUpdate,
  requestTurnUpdate,
  rolledBackUpdate,
  runningUpdate,
  verifiedUpdate,
} from '../../contracts/messages.ts';
import { membersOf } from '../../domain/lane/decisions.ts';
import { enter, leave, verified } from '../../domain/lane/members.ts';
import { begin, notRolledBack, ran, rolledBack } from '../../domain/lane/stages.ts';
import type { LaneState } from '../../domain/lane/state.ts';
import { release, request } from '../../domain/lane/turns.ts';
import type { LaneOutbox } from './outbox.ts';

/** What a lane answers to rollouts: the rules of `domain/lane`, and who has to be told. */
export function answerRollouts(memory: LaneState, outbox: LaneOutbox): void {
  setHandler(enterUpdate, (entry) => {
    const { answer, grants } = enter(memory, entry);
    outbox.grantAll(grants);
    return answer;
  });
  setHandler(verifiedUpdate, (report) => {
    const { answer, superseded } = verified(memory, report);
    for (const older of superseded) outbox.enqueue(older, { superseding: { by: report.rollout, where: 'checks' } });
    return answer;
  });
  setHandler(requestTurnUpdate, (turn) => {
    const { answer, superseded, grants } = request(memory, turn);
    for (const older of superseded) outbox.enqueue(older, { superseding: { by: turn.rollout, where: { stage: turn.stage } } });
    outbox.grantAll(grants);
    return answer;
  });
  setHandler(beginChangeUpdate, ({ externalHold, ...change }) => begin(memory, change, externalHold));
  setHandler(runningUpdate, (report) => ran(memory, report));
  setHandler(rolledBackUpdate, (report) => {
    const others = membersOf(memory, rolledBack(memory, report)).filter((rollout) => rollout !== report.rollout);
    outbox.nudge(others, `${report.digest} was rolled back and is in quarantine`);
  });
  setHandler(notRolledBackUpdate, (report) => notRolledBack(memory, report));
  setHandler(releaseTurnUpdate, (report) => outbox.grantAll(release(memory, report)));
  setHandler(leaveUpdate, (leaving) => outbox.grantAll(leave(memory, leaving)));
}
