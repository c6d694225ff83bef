import type { UpdateDefinition } from '@temporalio/common';
import type { BeginAnswer, BeginChange, RolloutRun } from '../../domain/lane/state.ts';
import type * as messages from '../messages.ts';

export interface LaneCall<At> {
  readonly service: string;
  readonly request: At;
}

/** Sends one update. */
type ToLane<Update> = Update extends UpdateDefinition<infer Answer, [infer At]> ? (call: LaneCall<At>) => Promise<Answer> : never;

/** What a rollout asks of its lane and of merge queues, as local activities: Temporal has no update from workflow to workflow. */
export interface LaneActivities {
  enterLane: ToLane<typeof messages.enterUpdate>;
  reportVerified: ToLane<typeof messages.verifiedUpdate>;
  requestTurn: ToLane<typeof messages.requestTurnUpdate>;
  releaseTurn: ToLane<typeof messages.releaseTurnUpdate>;
  leaveLane: ToLane<typeof messages.leaveUpdate>;
  /** Windows, the global hold and the lane: may the running system be changed now? */
  beginChange(call: LaneCall<BeginChange>): Promise<BeginAnswer>;
  reportRunning: ToLane<typeof messages.runningUpdate>;
  reportRolledBack: ToLane<typeof messages.rolledBackUpdate>;
  reportNotRolledBack: ToLane<typeof messages.notRolledBackUpdate>;
  requestMergeTurn(turn: messages.MergeTurn): Promise<messages.MergeTurnAnswer>;
  releaseMergeTurn(turn: messages.MergeTurn): Promise<void>;
  /** Has the followed tags looked up again, because what this rollout was about is not what the registry says any more. */
  resolveAgain(lookUp: messages.ResolveRequest): Promise<void>;
}

/** What lanes, merge queues and the global hold ask of Temporal itself. */
export interface FollowUpActivities {
  /** Which of these runs have ended, or are unknown to Temporal. */
  findEnded(input: { members: readonly RolloutRun[] }): Promise<RolloutRun[]>;
  startRollback(start: messages.RollbackStart & { readonly workflow: string }): Promise<void>;
  startPromotion(start: messages.RolloutStart): Promise<void>;
  /** Signals `progress` to every rollout that waits. */
  nudgeWaiting(progress: messages.ProgressNote): Promise<void>;
}
