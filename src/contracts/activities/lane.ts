import type { EntryAnswer, LaneEntry, LaneExit, VerifiedReport } from '../../domain/lane/members.ts';
import type { RolloutRun } from '../../domain/lane/run.ts';
import type {
  BeginAnswer,
  BeginChange,
  NotRolledBackReport,
  RolledBackReport,
  RunningReport,
} from '../../domain/lane/running.ts';
import type { TurnAnswer, TurnRequest } from '../../domain/lane/turns.ts';
import type {
  MergeTurn,
  MergeTurnAnswer,
  ProgressNote,
  ResolveRequest,
  RollbackStart,
  RolloutStart,
  TurnRelease,
} from '../messages.ts';

export interface LaneCall<At> {
  readonly service: string;
  readonly request: At;
}

/** What a rollout asks of its lane and of merge queues, as local activities: Temporal has no update from workflow to workflow. */
export interface LaneActivities {
  enterLane(call: LaneCall<LaneEntry>): Promise<EntryAnswer>;
  reportVerified(call: LaneCall<VerifiedReport>): Promise<EntryAnswer>;
  requestTurn(call: LaneCall<TurnRequest>): Promise<TurnAnswer>;
  releaseTurn(call: LaneCall<TurnRelease>): Promise<void>;
  leaveLane(call: LaneCall<LaneExit>): Promise<void>;
  /** Windows, the global hold and the lane: may the running system be changed now? */
  beginChange(call: LaneCall<BeginChange>): Promise<BeginAnswer>;
  reportRunning(call: LaneCall<RunningReport>): Promise<void>;
  reportRolledBack(call: LaneCall<RolledBackReport>): Promise<void>;
  reportNotRolledBack(call: LaneCall<NotRolledBackReport>): Promise<void>;
  requestMergeTurn(turn: MergeTurn): Promise<MergeTurnAnswer>;
  releaseMergeTurn(turn: MergeTurn): Promise<void>;
  /** Has the followed tags looked up again, because what this rollout was about is not what the registry says any more. */
  resolveAgain(lookUp: ResolveRequest): Promise<void>;
}

/** What lanes, merge queues and the global hold ask of Temporal itself. */
export interface FollowUpActivities {
  /** Which of these runs have ended, or are unknown to Temporal. */
  findEnded(input: { members: readonly RolloutRun[] }): Promise<RolloutRun[]>;
  startRollback(start: RollbackStart & { readonly workflow: string }): Promise<void>;
  startPromotion(start: RolloutStart): Promise<void>;
  /** Signals `progress` to every rollout that waits. */
  nudgeWaiting(progress: ProgressNote): Promise<void>;
}
