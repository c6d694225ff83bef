import type { Digest, Tag } from '../image-reference.ts';
import type { ImageIdentity, Proposal, RunningImage, VerifiedImage } from '../outcomes.ts';
import type { Attribution } from '../person.ts';
import type { Plan, WindowPlan } from '../plan.ts';
import type { End } from '../rollout-state.ts';

/**
 * The memory of one service. Plain JSON, because it is handed from run to run of the lane's workflow, and bounded, because what is handed
 * on may have 2 MiB. Times are ISO 8601, UTC.
 */
export interface LaneState {
  /** Rises with every verified image and every turn, so that "later" is a comparison of numbers. */
  clock: number;
  /** By tag: the digest that was verified last. */
  newest: Record<string, Digest>;
  /** By `tag@digest`: how its last rollout ended, the oldest first. */
  verdicts: Record<string, RolloutVerdict>;
  /** By digest. */
  quarantine: Record<string, Quarantine>;
  /** By rollout id: the rollouts that have entered and not left. */
  members: Record<string, LaneMember>;
  stages: Record<string, StageLane>;
  /** By stage: what has gone out to it, newest first; enough to promote it. `at`: when it went out last. */
  delivered: Record<string, Delivered[]>;
  /** Nothing of the whole service is changed. */
  hold?: Attribution;
}

export type Delivered = ImageIdentity & { readonly at: string };

export interface RolloutVerdict {
  /** What the tag pointed to: the index, if a child of it was pushed. */
  readonly digest: Digest;
  readonly end: End;
  readonly reason?: string;
  readonly at: string;
  /** The same image is taken up again when it comes back: it was only superseded by another image of its own tag. */
  readonly passing: boolean;
  /** The rollout of another digest of its tag, which an operator named in its place. */
  readonly by?: string;
}

export interface Quarantine {
  readonly reason: string;
  readonly by?: string;
  readonly at: string;
  /** The index that this digest is part of: the two are in quarantine together. */
  readonly of?: Digest;
}

/** One run of a rollout. */
export interface RolloutRun {
  readonly rollout: string;
  readonly runId: string;
}

/** One image's place in the order of its service. */
export interface LanePosition {
  readonly rollout: string;
  readonly tag: Tag;
  readonly digest: Digest;
  /** When the registry said so, on the lane's clock. */
  readonly sequence: number;
  readonly created?: string;
  /** An operator asked for it: what was asked last goes first. */
  readonly manual: boolean;
  /** A rollback of the image, not a delivery. */
  readonly rollback?: boolean;
  /** An operator brings it to one stage, whatever its tag is. */
  readonly promotion?: boolean;
  /** An operator named this digest while its tag pointed to that one, which therefore goes after it. */
  readonly instead?: Digest;
}

export interface LaneMember extends Pick<LanePosition, 'tag' | 'digest' | 'manual'> {
  readonly runId: string;
  /** Once it is verified. */
  position?: LanePosition;
  supersededBy?: LanePosition;
  /** By stage: the rollout that asked for its turn later, before this one began to change anything there. */
  supersededIn?: Record<string, string>;
  /** It rolls back what its stage runs, and is neither held back nor superseded. */
  readonly rollback?: boolean;
}

export interface StageLane {
  /** The turn that was given last. */
  turn: number;
  holder?: string;
  /** The holder changes the running system, or is about to: it is not superseded any more. */
  begun?: boolean;
  /** Rollout ids, first come first served. */
  waiters: string[];
  /** The latest that asked for this stage, and what it was given last. */
  latest?: LanePosition;
  current?: LanePosition;
  /** What Landfall last deployed there. Absent: not known. */
  running?: CurrentRunning;
  /** What it ran before, newest first. */
  earlier?: EarlierRunning[];
  hold?: Attribution;
  /** It stays on this digest. `unpinned`: the rollback of the digest ended the pin. */
  pin?: Pin;
  unpinned?: Pin;
  /** By which it was served last, if a rollback left nothing that Landfall knows of. */
  lastPlan?: Plan;
  /** The number of the last rollback that an operator asked for. */
  rollbacks?: number;
}

type Pin = Attribution & { readonly digest: Digest };

/** What a stage runs by Landfall's doing, with all that it takes to roll it back. */
export interface Running extends ImageIdentity {
  readonly since: string;
  /** The rollout that brought it. */
  readonly rollout: string;
  /** The plan that it was brought with, its `stages` only this one. */
  readonly plan: Plan;
  readonly image: VerifiedImage;
  readonly before: PreviousState;
  /** What was merged; absent if nothing had to be. */
  readonly proposal?: Proposal;
  /** The commit that the base branch got by it. */
  readonly commit?: string;
  /** What was changed besides the image, and by whom; for people. */
  readonly cameAlong?: string;
}

/** With its place in the order, so that it can be put back. */
export type CurrentRunning = Running & { readonly position?: LanePosition };

/** Enough to go back to it, and to promote it; the plan comes from the rollout that does. */
export type EarlierRunning = Omit<CurrentRunning, 'plan'> & { readonly until: string };

/** What a rollback needs. */
export type RollbackBasis = Pick<Running, 'before' | 'proposal' | 'commit'>;

export interface PreviousState {
  /** Containers or compose services, if the stage deploys them itself; empty: a first deployment. */
  readonly running: readonly RunningImage[];
  /** What Landfall had brought there before. */
  readonly image?: ImageIdentity;
}

export interface BeginChange extends RolloutRun {
  readonly stage: string;
  /** Answered for the time of the call, outside of the workflow. */
  readonly windows: readonly WindowPlan[];
}

/** Found outside of the lane: the windows are closed, or there is a global hold. */
export interface ExternalHold {
  readonly reason: string;
  /** Absent: nobody knows. */
  readonly until?: string;
  /** A window of the stage is closed, which an operator may pass over. */
  readonly window?: true;
}

export type BeginAnswer =
  /** `before`: what Landfall last deployed there. `again`: the stage runs this very digest already; what rolls that back. */
  | { readonly kind: 'go'; readonly turn: number; readonly before?: ImageIdentity; readonly again?: RollbackBasis }
  /** Held, pinned, or outside of the windows. */
  | ({ readonly kind: 'wait' } & ExternalHold)
  | { readonly kind: 'superseded'; readonly by: string }
  | { readonly kind: 'quarantined'; readonly reason: string }
  /** The lane does not know this run, or its turn: enter and request again. */
  | { readonly kind: 'unknown' };

export interface RunningReport extends RolloutRun {
  readonly stage: string;
  readonly running: Running;
}

/** A stage stays as it is, after the lane heard that it is rolled back. */
export interface NotRolledBackReport extends RunningReport {
  /** `at` of the `RolledBackReport`: what was put in quarantine then comes out again. Absent: it stays there. */
  readonly reportedAt?: string;
}

export interface RolledBackReport extends RolloutRun, Required<Attribution> {
  readonly stage: string;
  readonly digest: Digest;
}

/** @param clock where it starts: later than any number that an earlier life of the lane has given, where somebody may remember those */
export function emptyLane(clock = 0): LaneState {
  return { clock, newest: {}, verdicts: {}, quarantine: {}, members: {}, stages: {}, delivered: {} };
}

/** The member of this very run; an earlier or later run of the rollout is somebody else. */
export function memberOf(lane: LaneState, { rollout, runId }: RolloutRun): LaneMember | undefined {
  const member = lane.members[rollout];
  return member?.runId === runId ? member : undefined;
}

export function stageOf(lane: LaneState, name: string): StageLane {
  const known = Object.hasOwn(lane.stages, name) ? lane.stages[name] : undefined;
  if (known !== undefined) return known;
  const stage: StageLane = { turn: 0, waiters: [] };
  lane.stages[name] = stage;
  return stage;
}
