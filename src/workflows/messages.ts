import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { ImagePush } from '../domain/image-push.ts';
import type { Entry, EntryAnswer, Leave, Verified } from '../domain/lane/members.ts';
import type { LaneState, Run } from '../domain/lane/state.ts';
import type { Grant, TurnAnswer, TurnRequest } from '../domain/lane/turns.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';
import type { Plan } from '../domain/plan.ts';
import type { Decision, RolloutState } from '../domain/rollout-state.ts';

/** What starts a rollout. The rollout's id is `rolloutId(plan.service, image)`. */
export interface RolloutStart {
  readonly plan: Plan;
  readonly image: ImageIdentity;
  readonly push: ImagePush;
  /** An operator asked: starts anew whatever the last verdict was, but never a quarantined digest. */
  readonly asked?: boolean;
}

export const stateQuery = defineQuery<RolloutState>('state');

export const retryUpdate = defineUpdate<RolloutState, [Decision?]>('retry');
export const skipUpdate = defineUpdate<RolloutState, [Decision?]>('skip');
export const rejectUpdate = defineUpdate<RolloutState, [Decision?]>('reject');
export const abortUpdate = defineUpdate<RolloutState, [Decision?]>('abort');

/** What `resolve:SERVICE` is asked to look up: the followed tags of the plan, or (for a policy with an order) this tag too. */
export interface LookUp {
  /** The rollout that asks, because it was superseded: it has to be over before the same image can be taken up again. */
  readonly after?: Run;
  /** That rollout saw its tag point elsewhere. Where the look-up sees it point back, the registry contradicts itself. */
  readonly moved?: boolean;
  /** An operator asked for `push.tag`: only that one is looked up. */
  readonly asked?: boolean;
  readonly plan: Plan;
  readonly push: ImagePush;
}
export const lookUpSignal = defineSignal<[LookUp]>('lookUp');

/** How a lane begins, and what one run of it hands to the next. */
export interface LaneStart {
  readonly service: string;
  readonly state?: LaneState;
  /** How often a lane looks whether those before a waiting rollout still live. */
  readonly lookEveryMs?: number;
  /** After how many events of history a lane continues as new. */
  readonly longestHistory?: number;
}

/** What a rollout asks of its lane. All of them are answered at once, and alike when they are repeated. */
export const enterUpdate = defineUpdate<EntryAnswer, [Entry]>('enter');
export const verifiedUpdate = defineUpdate<EntryAnswer, [Verified]>('verified');
export const requestUpdate = defineUpdate<TurnAnswer, [TurnRequest]>('request');
export const releaseUpdate = defineUpdate<void, [ReleaseAt]>('release');
export const leaveUpdate = defineUpdate<void, [Leave]>('leave');
export const laneQuery = defineQuery<LaneState>('lane');

export interface ReleaseAt extends Run {
  readonly stage: string;
  /** The stage has the rollout's image now. */
  readonly reached: boolean;
}

/** What a lane tells a rollout. */
export const grantSignal = defineSignal<[Grant]>('grant');
export const supersedeSignal = defineSignal<[Superseding]>('supersede');

export interface Superseding {
  /** The rollout that goes first. */
  readonly by: string;
  /** `checks`: it is verified. Otherwise the stage whose turn it asks for. */
  readonly where: 'checks' | { readonly stage: string };
}
