import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { ImagePush } from '../domain/image-push.ts';
import type { Entry, EntryAnswer, Leave, Verified } from '../domain/lane/members.ts';
import type { RollbackTerms } from '../domain/lane/rollback.ts';
import type { BeginAnswer, BeginChange, NotRolledBackAt, RanAt, RolledBackAt, Running } from '../domain/lane/running.ts';
import type { Shut } from '../domain/lane/stages.ts';
import type { LaneState, Run } from '../domain/lane/state.ts';
import type { Grant, TurnAnswer, TurnRequest } from '../domain/lane/turns.ts';
import type { Notice } from '../domain/notice.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';
import type { NotifierPlan, Plan } from '../domain/plan.ts';
import type { Decision, RolloutState } from '../domain/rollout-state.ts';

/** What starts a rollout. The rollout's id is `rolloutId(plan.service, image)`. */
export interface RolloutStart {
  readonly plan: Plan;
  readonly image: ImageIdentity;
  readonly push: ImagePush;
  /** An operator asked: starts anew whatever the last verdict was, but never a quarantined digest. */
  readonly asked?: boolean;
  /** An operator named the digest, and not just the tag: it goes on also where the tag points to something else. */
  readonly named?: boolean;
  /**
   * An operator brings an earlier digest to one stage. The plan has that stage alone; the image is taken by its digest, whatever the
   * tag points to by now.
   */
  readonly promotion?: { readonly by: string; readonly reason?: string };
}

/** Whether an operator means this digest, whatever its tag points to by now. */
export function isByDigest({ named = false, promotion }: Pick<RolloutStart, 'named' | 'promotion'>): boolean {
  return named || promotion !== undefined;
}

export const stateQuery = defineQuery<RolloutState>('state');

export const retryUpdate = defineUpdate<RolloutState, [Decision?]>('retry');
export const skipUpdate = defineUpdate<RolloutState, [Decision?]>('skip');
export const rejectUpdate = defineUpdate<RolloutState, [Decision?]>('reject');
export const abortUpdate = defineUpdate<RolloutState, [Decision?]>('abort');
export const approveUpdate = defineUpdate<RolloutState, [Decision?]>('approve');

/**
 * Something that a rollout may be waiting for has moved: look again. Never the news itself, which is asked for where it comes from, so
 * that a forged or repeated signal changes nothing.
 */
export const progressSignal = defineSignal<[Progress]>('progress');
export interface Progress {
  /** For the history's readers: `check_suite of team/deployment completed`, `the line was released`. */
  readonly what: string;
}

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
  /** What an operator asked for and is not started yet. */
  readonly errands?: readonly LaneErrand[];
  /** How often a lane looks whether those before a waiting rollout still live. */
  readonly lookEveryMs?: number;
  /** After how many events of history a lane continues as new. */
  readonly longestHistory?: number;
}

/** What a rollout asks of its lane. All of them are answered at once, and alike when they are repeated. */
export const enterUpdate = defineUpdate<EntryAnswer, [Entry]>('enter');
export const verifiedUpdate = defineUpdate<EntryAnswer, [Verified]>('verified');
export const requestUpdate = defineUpdate<TurnAnswer, [TurnRequest]>('request');
/** Gives a turn back. (Up to 0.1 its name was `release`, which is what operators say to a lane now.) */
export const giveBackUpdate = defineUpdate<void, [ReleaseAt]>('giveBack');
export const leaveUpdate = defineUpdate<void, [Leave]>('leave');
/** Just before the running system is changed: may it be, and is it still this rollout's turn? From then on it cannot be superseded. */
export const beginUpdate = defineUpdate<BeginAnswer, [BeginAsked]>('begin');
/** The stage runs the rollout's image from now on, healthy or not. */
export const ranUpdate = defineUpdate<void, [RanAt]>('ran');
/** The stage runs again what it ran before; the digest is quarantined. */
export const rolledBackUpdate = defineUpdate<void, [RolledBackAt]>('rolledBack');
/** It does not, because an operator said to leave it as it is. */
export const notRolledBackUpdate = defineUpdate<void, [NotRolledBackAt]>('notRolledBack');
export const laneQuery = defineQuery<LaneState>('lane');

/** Windows and line were looked at before the lane is asked: `shut` says what came out. */
export type BeginAsked = Omit<BeginChange, 'windows'> & { readonly shut?: Shut };

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

/** What operators say to a lane. Each is answered at once, with the lane as it is then. */
export const holdUpdate = defineUpdate<LaneState, [LaneDecision]>('hold');
/** Rollouts of before gave their turns back by this name: histories and workers of that time still say it. */
export const releaseUpdate = defineUpdate<LaneState, [LaneDecision | ReleaseAt]>('release');
export const pinUpdate = defineUpdate<LaneState, [LaneDecision & { readonly stage: string; readonly digest: string }]>('pin');
export const quarantineUpdate = defineUpdate<LaneState, [LaneDecision & { readonly digest: string }]>('quarantine');
export const unquarantineUpdate = defineUpdate<LaneState, [LaneDecision & { readonly digest: string }]>('unquarantine');
/** @returns the id of the workflow that does it, and what it does */
export const rollbackUpdate = defineUpdate<RollbackAnswer, [LaneDecision & { readonly stage: string }]>('rollback');
export type RollbackAnswer = { readonly workflow: string } & RollbackTerms;
export const promoteUpdate = defineUpdate<
  { readonly workflow: string },
  [LaneDecision & { readonly stage: string; readonly digest: string }]
>('promote');

/** What a lane starts for an operator. */
export type LaneErrand =
  | { readonly kind: 'rollback'; readonly start: RollbackStart & { readonly workflow: string } }
  | { readonly kind: 'promotion'; readonly start: RolloutStart };

export interface LaneDecision {
  /** Absent, where it may be: all stages. */
  readonly stage?: string;
  readonly by?: string;
  readonly reason?: string;
}

/** The line: one workflow for all services, which can be stopped as a whole. */
export interface LineState {
  readonly hold?: { readonly by: string; readonly reason?: string; readonly at: string };
}
export interface LineStart {
  readonly state?: LineState;
  /** What waiting rollouts are still to be told. */
  readonly untold?: Progress;
  /** After how many events of history it continues as new. */
  readonly longestHistory?: number;
}
export const stopLineUpdate = defineUpdate<LineState, [LaneDecision]>('stop');
export const resumeLineUpdate = defineUpdate<LineState, [LaneDecision]>('resume');
export const lineQuery = defineQuery<LineState>('line');

/** Merges into one base branch of one repository go one after the other, whichever service they are of. */
export interface MergeTurn extends Run {
  readonly repository: string;
  readonly base: string;
}
/** How a merge queue begins, and what one run of it hands to the next. */
export interface MergeQueueStart {
  readonly state?: MergeQueueState;
  /** How often it looks whether those before a waiting rollout still live. */
  readonly lookEveryMs?: number;
  /** After how many events of history it continues as new. */
  readonly longestHistory?: number;
}
/** First come, first served. */
export interface MergeQueueState {
  readonly holder?: Run;
  readonly waiting: readonly Run[];
}
export const mergeQueueQuery = defineQuery<MergeQueueState>('queue');
export const takeMergeTurnUpdate = defineUpdate<MergeTurnAnswer, [Run]>('take');
export const giveMergeTurnBackUpdate = defineUpdate<void, [Run]>('giveBack');
/** Whoever waits gets the signal `progress` when its turn has come, and asks again. */
export type MergeTurnAnswer = { readonly kind: 'granted' } | { readonly kind: 'waiting'; readonly behind: string };

/** What starts `forward:SERVICE:DELIVERY`: one push, with each of its tags, is passed on to the dispatch of a service. */
export interface ForwardStart {
  readonly plan: Plan;
  /** Of one delivery and one repository; at least one. */
  readonly pushes: readonly ImagePush[];
}

/** What starts `rollback:SERVICE:STAGE:N`: an operator undoes what a stage runs. */
export interface RollbackStart {
  readonly service: string;
  readonly stage: string;
  /** What is undone, with the plan that brought it there. */
  readonly running: Running;
  readonly by: string;
  readonly reason?: string;
  /** When it was asked for, ISO 8601, UTC: tells two of the same number apart. */
  readonly at: string;
}

/** What `notify:ROLLOUT` is told, one notice after the other. */
export interface Telling {
  readonly notice: Notice;
  readonly notifiers: readonly NotifierPlan[];
}
export const tellSignal = defineSignal<[Telling]>('tell');
