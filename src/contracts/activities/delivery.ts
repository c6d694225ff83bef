import type { ImagePush } from '../../domain/image-push.ts';
import type {
  CheckResult,
  Deployed,
  DispatchOutcome,
  MergeOutcome,
  Proposal,
  ProposalState,
  ProposeOutcome,
  RateLimited,
  RevertOutcome,
  RunningImage,
  StageSnapshot,
  VerifiedImage,
  Watched,
} from '../../domain/outcomes.ts';
import type { Plan, StagePlan } from '../../domain/plan.ts';
import type { Waiver } from '../../domain/rollout-state.ts';
import type { ExpectedImage } from '../../domain/watch.ts';

/** What every activity of a stage takes. */
export interface StageStepInput {
  readonly plan: Plan;
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
}

/** Of a stage with a `dispatch`. */
export interface DispatchStageInput extends StageStepInput {
  readonly push: ImagePush;
}

export interface PassThroughInput {
  /** One that has its pushes passed on as they come. */
  readonly plan: Plan;
  /** The tags of one image that were pushed together. */
  readonly pushes: readonly [ImagePush, ...ImagePush[]];
}

export interface DispatchActivities {
  /** A step of a rollout. */
  dispatch(input: DispatchStageInput): Promise<DispatchOutcome>;
  /** A push that is passed on in place of a rollout. */
  passThrough(input: PassThroughInput): Promise<DispatchOutcome>;
}

/** Of a stage with a `change`. */
export interface ProposeInput extends StageStepInput {
  readonly push: ImagePush;
  readonly checks: readonly CheckResult[];
  /** What was skipped so far. Absent where nothing was. */
  readonly skipped?: readonly Waiver[];
  /** It was taken by its digest, whatever its tag points to. */
  readonly named?: boolean;
  /** An operator asked for this very image: an earlier tag than the one in the base branch is then no reason to stop. */
  readonly manual?: boolean;
}

export interface ProposeActivities {
  propose(input: ProposeInput): Promise<ProposeOutcome>;
}

/** Of a stage with a `change`. */
export interface ProposalInput extends StageStepInput {
  readonly proposal: Proposal;
}

export interface TidyInput extends ProposalInput {
  readonly close?: boolean;
}

export interface RevertInput extends ProposalInput {
  /** Why it is rolled back, for people. */
  readonly reason: string;
}

export interface BaseState {
  readonly kind: 'looked';
  /** The places of the change say what the proposal says, in whatever quotes. */
  readonly holds: boolean;
  /** The head of the base branch. */
  readonly commit: string;
}

export interface MergeActivities {
  /** Where the proposal stands, and who reviewed it. Cheap: rollouts ask it again and again. */
  proposalState(input: ProposalInput): Promise<ProposalState>;
  /**
   * Merges the very head of the proposal, also of a rollback's, where it brings our change and nothing else, and deletes its branch.
   * @throws ApplicationFailure `BranchConflict` (files that are not ours), `MergeRefused`, `HeadMoved`, `BaseMovedOn` (merged, but not held)
   */
  mergeChange(input: ProposalInput): Promise<MergeOutcome>;
  /** Deletes the branch of a proposal that is not open any more. `close`: closes it first, where it still is, and still is ours. */
  tidyChange(input: TidyInput): Promise<{ readonly kind: 'tidied' } | RateLimited>;
  /** Whether the base branch holds the image now, at the places of the change; after a merge by a person nobody else knows. */
  baseHolds(input: ProposalInput): Promise<BaseState | RateLimited>;
  /**
   * Proposes, on a branch of its own, what the places said before.
   * @throws ApplicationFailure `BaseMovedOn`, naming the later change, where the base does not hold ours any more; `NothingBefore`
   */
  revertChange(input: RevertInput): Promise<RevertOutcome>;
}

export interface DeployStageInput extends StageStepInput {
  /** The turn that allows it: a lower one than the last that was seen here is refused. */
  readonly turn: number;
  /** Names of the containers (`docker`) that are meant; absent: all. */
  readonly only?: readonly string[];
  /** Fingerprint of the changes besides the image that a person said yes to. */
  readonly accepted?: string;
}

export interface SnapshotInput extends Omit<DeployStageInput, 'turn' | 'only'> {
  /** A change is to come: what would be refused then is refused now, and the answer says what comes along besides the image. */
  readonly foresee?: boolean;
}

export interface RollbackInput extends DeployStageInput {
  /** What is to run again: as the snapshot said. */
  readonly before: readonly RunningImage[];
}

/** Done on the queue of the stage's host. */
export interface DeployActivities {
  /** What runs now, and whether it is healthy: asked before anything changes. @throws ApplicationFailure `DeployRefused`, `OtherChanges` */
  snapshotStage(input: SnapshotInput): Promise<StageSnapshot | RateLimited>;
  /**
   * Brings the image there, unless it runs already.
   * @throws ApplicationFailure `DeployRefused` (nothing was changed), `DeployFailed` (something was), `TurnPassed`
   */
  deployStage(input: DeployStageInput): Promise<Deployed | RateLimited>;
  /** Brings back what ran before, from what is on the host: needs neither registry nor forge. */
  rollBackStage(input: RollbackInput): Promise<Deployed | RateLimited>;
  /** Once it is healthy, or the repository agrees: removes what was kept to go back to (stopped containers, override files). */
  discardPrevious(input: Omit<DeployStageInput, 'turn' | 'only'>): Promise<void>;
}

/** Of a stage with a `watch`. */
export interface WatchStageInput extends StageStepInput {
  /** What has to be proven to run. For a rollback: what ran before; absent: nothing has to be proven. */
  readonly expected?: ExpectedImage;
  /** What the base branch of the deployment repository got, by the merge or by its revert; absent: it got nothing, or nobody knows. */
  readonly commit?: string;
  /** What was deployed: the containers that `docker` probes look at and that prove the digest. */
  readonly running: readonly RunningImage[];
  /** The stage is done once this is healthy: what was kept to go back to is removed then. */
  readonly discardsPrevious?: boolean;
}

export interface WatchActivities {
  /**
   * Watches until there is a verdict. An attempt that is cut off leaves in its heartbeats how far it was; the next goes on from there.
   * @throws ApplicationFailure `Unhealthy`, with `Unhealthy` as its detail
   */
  watchStage(input: WatchStageInput): Promise<Watched | RateLimited>;
}

/** What the worker of a host does there. */
export interface HostActivities extends DeployActivities, WatchActivities {}
