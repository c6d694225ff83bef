import { setHandler } from '@temporalio/workflow';
import {
  beginUpdate,
  enterUpdate,
  giveBackUpdate,
  leaveUpdate,
  notRolledBackUpdate,
  ranUpdate,
  requestUpdate,
  rolledBackUpdate,
  verifiedUpdate,
} from '../../contracts/messages.ts';
import { membersOf } from '../../domain/lane/decisions.ts';
import { enter, leave, verified } from '../../domain/lane/members.ts';
import { begin, notRolledBack, ran, rolledBack } from '../../domain/lane/stages.ts';
import type { LaneState } from '../../domain/lane/state.ts';
import { release, request } from '../../domain/lane/turns.ts';
import type { LanePost } from './outbox.ts';

/** What a lane answers to rollouts: the rules of `domain/lane`, and who has to hear of it. */
export function answerRollouts(memory: LaneState, post: LanePost): void {
  setHandler(enterUpdate, (entry) => {
    const { answer, grants } = enter(memory, entry);
    post.grantAll(grants);
    return answer;
  });
  setHandler(verifiedUpdate, (at) => {
    const { answer, superseded } = verified(memory, at);
    for (const older of superseded) post.write(older, { superseding: { by: at.rollout, where: 'checks' } });
    return answer;
  });
  setHandler(requestUpdate, (at) => {
    const { answer, superseded, grants } = request(memory, at);
    for (const older of superseded) post.write(older, { superseding: { by: at.rollout, where: { stage: at.stage } } });
    post.grantAll(grants);
    return answer;
  });
  setHandler(beginUpdate, ({ shut, ...at }) => begin(memory, at, shut));
  setHandler(ranUpdate, (at) => ran(memory, at));
  setHandler(rolledBackUpdate, (at) => {
    const others = membersOf(memory, rolledBack(memory, at)).filter((rollout) => rollout !== at.rollout);
    post.nudge(others, `${at.digest} was rolled back and is in quarantine`);
  });
  setHandler(notRolledBackUpdate, (at) => notRolledBack(memory, at));
  setHandler(giveBackUpdate, (at) => post.grantAll(release(memory, at)));
  setHandler(leaveUpdate, (leaving) => post.grantAll(leave(memory, leaving)));
}
