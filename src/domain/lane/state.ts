import type { Digest, Tag } from '../image-reference.ts';
import type { ImageIdentity } from '../outcomes.ts';
import type { Plan } from '../plan.ts';
import type { End } from '../rollout-state.ts';
import type { RolloutRun } from './run.ts';
import type { Running } from './running.ts';

/**
 * The memory of one service. Plain JSON, because it is handed from run to run of the lane's workflow, and bounded, because what is handed
 * on may have 2 MiB. Times are ISO 8601, UTC.
 */
export interface LaneState {
  /** Rises with every verified image and every turn, so that "later" is a comparison of numbers. */
  clock: number;
  /** By tag: the digest that was verified last. */
  newest: Record<string, Digest>;
  /** By `tag@digest`: how its last rollout ended. The oldest are forgotten first. */
  verdicts: Record<string, RolloutVerdict>;
  /** By digest. */
  quarantine: Record<string, Quarantine>;
  /** By rollout id: the rollouts that have entered and not left. */
  members: Record<string, LaneMember>;
  stages: Record<string, StageLane>;
  /** By stage: what has gone out to it, newest first. */
  delivered: Record<string, Delivered[]>;
  /** Nothing of the whole service is changed. */
  hold?: Attribution;
}

/** Enough to promote it. `at`: when it went out last. */
export interface Delivered extends ImageIdentity {
  readonly at: string;
}

/** What an operator said: who, why and when. */
export interface Attribution {
  readonly by: string;
  readonly reason?: string;
  readonly at: string;
}

export interface RolloutVerdict {
  /** What the tag pointed to: the index, where a child of it was pushed. */
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
  /** A rollback of the image, and no delivery of it. */
  readonly rollback?: boolean;
  /** An operator brings it to one stage, whatever its tag is. */
  readonly promotion?: boolean;
  /** An operator named this digest while its tag pointed to that one, which therefore goes after it. */
  readonly instead?: Digest;
}

export interface LaneMember {
  readonly runId: string;
  readonly tag: Tag;
  readonly digest: Digest;
  readonly manual: boolean;
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
  /** The latest that asked for this stage. */
  latest?: LanePosition;
  /** What this stage was given last. */
  current?: LanePosition;
  /** What it runs by Landfall's doing. Absent: nobody knows. */
  running?: CurrentRunning;
  /** What it ran before, newest first. */
  earlier?: EarlierRunning[];
  hold?: Attribution;
  /** It stays on this digest. */
  pin?: Pin;
  /** The pin of a digest that was rolled back, which ended it. */
  unpinned?: Pin;
  /** By which it was served last, where a rollback left nothing that Landfall knows of. */
  lastPlan?: Plan;
  /** The number of the last rollback that an operator asked for. */
  rollbacks?: number;
}

export interface Pin extends Attribution {
  readonly digest: Digest;
}

/** With its place in the order, so that it can be put back. */
export type CurrentRunning = Running & { readonly position?: LanePosition };

/** Enough to go back to it, and to promote it; the plan comes from the rollout that does. */
export type EarlierRunning = Omit<CurrentRunning, 'plan'> & { readonly until: string };

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
