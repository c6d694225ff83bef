import type { Digest, Repository, Tag } from '../image-reference.ts';
import type { Proposal, RunningImage, VerifiedImage } from '../outcomes.ts';
import type { Plan, WindowPlan } from '../plan.ts';
import type { RolloutRun } from './run.ts';

/** What a stage runs, as far as Landfall brought it there, with all that it takes to roll it back. */
export interface Running {
  readonly repository: Repository;
  readonly tag: Tag;
  readonly digest: Digest;
  /** ISO 8601, UTC. */
  readonly since: string;
  /** The rollout that brought it. */
  readonly rollout: string;
  /** The plan that it was brought with, its `stages` only this one. */
  readonly plan: Plan;
  readonly image: VerifiedImage;
  readonly before: PreviousState;
  /** What was merged; absent where nothing had to be. */
  readonly proposal?: Proposal;
  /** The commit that the base branch got by it. */
  readonly commit?: string;
  /** What was changed besides the image, and by whom; for people. */
  readonly cameAlong?: string;
}

/** What a rollback needs. */
export type RollbackBasis = Pick<Running, 'before' | 'proposal' | 'commit'>;

/** What a stage ran before. */
export interface PreviousState {
  /** Containers or compose services, where the stage deploys them itself; empty: a first deployment. */
  readonly running: readonly RunningImage[];
  /** What Landfall had brought there before, where it had. */
  readonly image?: { readonly repository: Repository; readonly tag: Tag; readonly digest: Digest };
}

export interface BeginChange extends RolloutRun {
  readonly stage: string;
  /** Answered for the time of the call, outside of the workflow. */
  readonly windows: readonly WindowPlan[];
}

export type BeginAnswer =
  /**
   * `before`: what the stage runs by Landfall's own doing. `again`: the stage was brought to this very digest before, and that is what it
   * takes to roll it back.
   */
  | { readonly kind: 'go'; readonly turn: number; readonly before?: PreviousState['image']; readonly again?: RollbackBasis }
  /** Held, pinned, or outside of the windows; `until` where somebody knows, ISO 8601. */
  | { readonly kind: 'wait'; readonly reason: string; readonly until?: string }
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
  /** `at` of `RolledBackAt`: what was put in quarantine then comes out again. Absent: it stays there. */
  readonly reportedAt?: string;
}

export interface RolledBackReport extends RolloutRun {
  readonly stage: string;
  readonly digest: Digest;
  readonly reason: string;
  readonly by: string;
  /** ISO 8601, UTC. */
  readonly at: string;
}
