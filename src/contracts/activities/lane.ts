import type { Entry, EntryAnswer, Leave, Verified } from '../../domain/lane/members.ts';
import type { BeginAnswer, BeginChange, NotRolledBackAt, RanAt, RolledBackAt } from '../../domain/lane/running.ts';
import type { Run } from '../../domain/lane/state.ts';
import type { TurnAnswer, TurnRequest } from '../../domain/lane/turns.ts';
import type { LookUp, MergeTurn, MergeTurnAnswer, Progress, ReleaseAt, RollbackStart, RolloutStart } from '../messages.ts';

export interface LaneCall<At> {
  readonly service: string;
  readonly at: At;
}

/** What a rollout asks of its lane and of merge queues, as local activities: Temporal has no update from workflow to workflow. */
export interface LaneActivities {
  enterLane(call: LaneCall<Entry>): Promise<EntryAnswer>;
  tellVerified(call: LaneCall<Verified>): Promise<EntryAnswer>;
  requestTurn(call: LaneCall<TurnRequest>): Promise<TurnAnswer>;
  releaseTurn(call: LaneCall<ReleaseAt>): Promise<void>;
  leaveLane(call: LaneCall<Leave>): Promise<void>;
  /** Windows, the line and the lane: may the running system be changed now? */
  beginChange(call: LaneCall<BeginChange>): Promise<BeginAnswer>;
  tellRunning(call: LaneCall<RanAt>): Promise<void>;
  tellRolledBack(call: LaneCall<RolledBackAt>): Promise<void>;
  tellNotRolledBack(call: LaneCall<NotRolledBackAt>): Promise<void>;
  takeMergeTurn(turn: MergeTurn): Promise<MergeTurnAnswer>;
  giveMergeTurnBack(turn: MergeTurn): Promise<void>;
  /** Has the followed tags looked up again, because what this rollout was about is not what the registry says any more. */
  lookAgain(lookUp: LookUp): Promise<void>;
}

/** What lanes, merge queues and the global hold ask of Temporal itself. */
export interface FollowUpActivities {
  /** Which of these runs have ended, or are unknown to Temporal. */
  findEnded(input: { members: readonly Run[] }): Promise<Run[]>;
  startRollback(start: RollbackStart & { readonly workflow: string }): Promise<void>;
  startPromotion(start: RolloutStart): Promise<void>;
  /** Signals `progress` to every rollout that waits. */
  nudgeWaiting(progress: Progress): Promise<void>;
}
