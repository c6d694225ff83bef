import type { ImageIdentity, Proposal } from './outcomes.ts';

/** How a rollout ends. */
export const ends = [
  'delivered',
  'proposed',
  'unchanged',
  'superseded',
  'rejected',
  'expired',
  'rolled-back',
  'aborted',
  'failed',
] as const;
export type End = (typeof ends)[number];

/** `waiting`: for its turn, for a rate limit to pass. `blocked`: for an operator's decision. */
export const rolloutStatuses = ['running', 'waiting', 'blocked', ...ends] as const;
export type RolloutStatus = (typeof rolloutStatuses)[number];

/** `confirm`: is the image still what its tag is, now that the stage's turn has come? */
export const stageStepNames = ['confirm', 'dispatch', 'propose', 'approve', 'merge', 'deploy', 'watch', 'rollback'] as const;
/** `verify`, the kind of a check, or a step of a stage. */
export type StepName = string;

/** A waiver makes sense for these, and for every check; without the others there would be nothing left to go on with. */
const skippableInStage: readonly StepName[] = ['dispatch', 'watch', 'rollback'];

/** Changes that come along with an image may be let through knowingly, wherever they were found. */
export function maySkip({ step, stage, failure }: Pick<StepState, 'step' | 'stage' | 'failure'>): boolean {
  return stage === undefined ? step !== 'verify' : skippableInStage.includes(step) || failure === 'OtherChanges';
}

/** A step, or a part of it, that an operator said to go on without. */
export interface Waiver {
  readonly step: StepName;
  /** Absent for checks. */
  readonly stage?: string;
  /** Only the changes that come along with the image were let through; the step itself is taken. Absent: the step was skipped. */
  readonly of?: 'other-changes';
  readonly by: string;
  readonly reason: string;
  /** ISO 8601, UTC. */
  readonly at: string;
}

export type StepStatus = 'pending' | 'running' | 'waiting' | 'passed' | 'blocked' | 'skipped' | 'stopped';

export interface StepState {
  readonly step: StepName;
  /** Absent for checks. */
  readonly stage?: string;
  readonly status: StepStatus;
  /** ISO 8601, UTC. */
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** One sentence: what came out, why it is blocked, or what it waits for. */
  readonly reason?: string;
  /** Type of the failure that blocks it. */
  readonly failure?: string;
  /** What a person should see beside the reason: findings, log lines. At most a few KiB. */
  readonly details?: unknown;
}

/** The answer of the query `state`, and the result of the workflow. */
export interface RolloutState {
  readonly service: string;
  readonly image: ImageIdentity;
  readonly status: RolloutStatus;
  readonly reason?: string;
  readonly steps: readonly StepState[];
  /** By stage. */
  readonly proposals: Readonly<Record<string, Proposal>>;
  /** By stage: who approved. Absent if nobody had to. */
  readonly approvals?: Readonly<Record<string, readonly Approval[]>>;
  /** What was skipped, by whom and why, in order. Absent if nothing was. */
  readonly waivers?: readonly Waiver[];
  readonly startedAt: string;
  readonly changedAt: string;
  readonly endedAt?: string;
}

export interface Approval {
  /** Name of the operator. */
  readonly by: string;
  readonly reason?: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Proven by the operator's token or by a review at GitHub, not just typed by somebody with Temporal access. */
  readonly verified: boolean;
  readonly way: 'decision' | 'review';
  /** The head of the proposal that was approved; absent if the stage proposes nothing. */
  readonly head?: string;
}

/** What an operator says to a step (or, for `abort`, to the rollout). `step` may be left out where only one step is blocked. */
export interface Decision {
  readonly step?: string;
  readonly stage?: string;
  /** Required for `skip`: a waiver. */
  readonly reason?: string;
  /** Who decided. Anybody with Temporal access can type it, so it counts as unverified unless the operators' API set `verified`. */
  readonly by?: string;
  /** The digest that is approved. A decision about another one than the rollout's is refused. */
  readonly digest?: string;
  /** The head of the proposal that is approved. A decision about another one than the stage's is refused. */
  readonly head?: string;
  /** Shows that `by` is who it says: see `domain/decision-proof.ts`. */
  readonly proof?: string;
}
