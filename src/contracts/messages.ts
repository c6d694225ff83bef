import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { BuildOptions, BuildPlan, BuildSubject, BuildTarget } from '../domain/build.ts';
import type { ImagePush } from '../domain/image-push.ts';
import type { Digest, Tag } from '../domain/image-reference.ts';
import type { RollbackTerms } from '../domain/lane/decisions.ts';
import type { EntryAnswer, LaneEntry, LaneExit, VerifiedReport } from '../domain/lane/members.ts';
import type { MergeTurns } from '../domain/lane/merge-turns.ts';
import type {
  BeginAnswer,
  BeginChange,
  ExternalHold,
  LaneState,
  NotRolledBackReport,
  RolledBackReport,
  RolloutRun,
  Running,
  RunningReport,
} from '../domain/lane/state.ts';
import type { Grant, TurnAnswer, TurnRequest } from '../domain/lane/turns.ts';
import type { Notice } from '../domain/notice.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';
import type { Attribution } from '../domain/person.ts';
import type { NotifierPlan, Plan } from '../domain/plan.ts';
import type { Decision, RolloutState, RunState } from '../domain/rollout-state.ts';

/** What starts a rollout. The rollout's id is `rolloutId(plan.service, image)`. */
export interface RolloutStart {
  readonly plan: Plan;
  readonly image: ImageIdentity;
  readonly push: ImagePush;
  /** An operator asked: starts anew whatever the last verdict was, but never a quarantined digest. */
  readonly manual?: boolean;
  /** An operator named the digest, and not just the tag: it goes on also where the tag points to something else. */
  readonly named?: boolean;
  /** An operator brings an earlier digest to one stage, the only one of the plan. The image is taken by its digest. */
  readonly promotion?: { readonly by: string; readonly reason?: string };
}

/** Whether an operator means this digest, whatever its tag points to by now. */
export function isByDigest({ named = false, promotion }: Pick<RolloutStart, 'named' | 'promotion'>): boolean {
  return named || promotion !== undefined;
}

/** How many decisions a rollout, a lane or the global hold has taken: a proof is bound to it, so that it counts once. */
export const decidedQuery = defineQuery<number>('decided');

/** The rollout that makes this one's checks pointless, if there is one. */
export const supersededQuery = defineQuery<string | undefined>('superseded');

export const stateQuery = defineQuery<RolloutState>('state');
/** The same of whatever answers it: a rollout, a rollback or a build. */
export const runStateQuery = defineQuery<RunState>(stateQuery.name);

export const retryUpdate = defineUpdate<RunState, [Decision?]>('retry');
export const skipUpdate = defineUpdate<RunState, [Decision?]>('skip');
export const rejectUpdate = defineUpdate<RunState, [Decision?]>('reject');
/** The same with what the configuration says now: the rollout begins anew, with the first step. */
export const renewUpdate = defineUpdate<RunState, [Decision?]>('renew');
export const abortUpdate = defineUpdate<RunState, [Decision?]>('abort');
export const approveUpdate = defineUpdate<RunState, [Decision?]>('approve');

/** Look again: something has moved. What has is asked for where it comes from, so that a forged or repeated signal changes nothing. */
export const progressSignal = defineSignal<[ProgressNote]>('progress');
export interface ProgressNote {
  /** For the history's readers: `check_suite of team/deployment completed`, `everything was released by ann`. */
  readonly what: string;
}

/** What `resolve:SERVICE` is asked to look up: the followed tags of the plan, or (for a policy with an order) this tag too. */
export interface ResolveRequest {
  /** The rollout that asks, because it was superseded: it has to be over before the same image can be taken up again. */
  readonly after?: RolloutRun;
  /** That rollout saw its tag point elsewhere. Where the look-up sees it point back, the registry contradicts itself. */
  readonly moved?: boolean;
  /** An operator asked for `push.tag`: only that one is looked up. */
  readonly manual?: boolean;
  readonly plan: Plan;
  readonly push: ImagePush;
}
export const resolveSignal = defineSignal<[ResolveRequest]>('resolve');

/** How a workflow that never ends begins, and what one run of it hands to the next. */
interface NextStart<State> {
  readonly state?: State;
  /** How often it looks whether those before a waiting rollout still live. */
  readonly checkEveryMs?: number;
  /** After how many events of history it continues as new. */
  readonly longestHistory?: number;
  /** How many decisions it has taken. */
  readonly decided?: number;
}

export interface LaneStart extends NextStart<LaneState> {
  readonly service: string;
  /** What an operator asked for and is not started yet. */
  readonly pendingStarts?: readonly PendingStart[];
  /** What rollouts are to be told, and were not yet. */
  readonly messages?: readonly LaneMessage[];
}

/** A signal to a rollout, which goes before those that come after it. */
export interface LaneMessage extends RolloutRun {
  readonly signal: string;
  readonly message: unknown;
}

/** What a rollout asks of its lane. All of them are answered at once, and alike when they are repeated. */
export const enterUpdate = defineUpdate<EntryAnswer, [LaneEntry]>('enter');
export const verifiedUpdate = defineUpdate<EntryAnswer, [VerifiedReport]>('verified');
export const requestTurnUpdate = defineUpdate<TurnAnswer, [TurnRequest]>('requestTurn');
export const releaseTurnUpdate = defineUpdate<void, [TurnRelease]>('releaseTurn');
export const leaveUpdate = defineUpdate<void, [LaneExit]>('leave');
/** Just before the running system is changed: may it be, and is it still this rollout's turn? From then on it cannot be superseded. */
export const beginChangeUpdate = defineUpdate<BeginAnswer, [BeginChangeRequest]>('beginChange');
/** The stage runs the rollout's image from now on, healthy or not. */
export const runningUpdate = defineUpdate<void, [RunningReport]>('running');
/** The stage runs again what it ran before; the digest is quarantined. */
export const rolledBackUpdate = defineUpdate<void, [RolledBackReport]>('rolledBack');
/** It does not, because an operator said to leave it as it is. */
export const notRolledBackUpdate = defineUpdate<void, [NotRolledBackReport]>('notRolledBack');
export const laneQuery = defineQuery<LaneState>('lane');

/** Windows and the global hold were looked at before the lane is asked: `externalHold` says what came out. */
type BeginChangeRequest = Omit<BeginChange, 'windows'> & { readonly externalHold?: ExternalHold };

export interface TurnRelease extends RolloutRun {
  readonly stage: string;
  /** The stage has the rollout's image now. */
  readonly reached: boolean;
}

export const grantSignal = defineSignal<[Grant]>('grant');
export const supersedeSignal = defineSignal<[Supersession]>('supersede');

export interface Supersession {
  readonly by: string;
  /** `checks`: it is verified. Otherwise the stage whose turn it asks for. */
  readonly where: 'checks' | { readonly stage: string };
}

type OfStage = LaneDecision & { readonly stage: string };
type OfDigest = LaneDecision & { readonly digest: string };

/** What operators say to a lane. Each is answered at once, with the lane as it is then. */
export const holdUpdate = defineUpdate<LaneState, [LaneDecision]>('hold');
export const releaseUpdate = defineUpdate<LaneState, [LaneDecision]>('release');
export const pinUpdate = defineUpdate<LaneState, [OfStage & OfDigest]>('pin');
export const quarantineUpdate = defineUpdate<LaneState, [OfDigest]>('quarantine');
export const unquarantineUpdate = defineUpdate<LaneState, [OfDigest]>('unquarantine');
/** `digest`: what the stage is thought to run. @returns the id of the workflow that does it, and what it does */
export const rollbackUpdate = defineUpdate<RollbackAnswer, [OfStage & Partial<OfDigest>]>('rollback');
export type RollbackAnswer = { readonly workflow: string } & RollbackTerms;
export const promoteUpdate = defineUpdate<PromotionAnswer, [OfStage & OfDigest]>('promote');
/** `at`: when it was said. The rollout begins later, and whatever has the same id and began before is an earlier run. Workers of before do not say it. */
export type PromotionAnswer = { readonly workflow: string; readonly at?: string };

export type PendingStart =
  | { readonly kind: 'rollback'; readonly start: RollbackStart & { readonly workflow: string } }
  | { readonly kind: 'promotion'; readonly start: RolloutStart };

export interface LaneDecision {
  /** Absent, where it may be: all stages. */
  readonly stage?: string;
  readonly by?: string;
  readonly reason?: string;
  /** As those of a decision on a rollout. */
  readonly proof?: string;
  readonly login?: 'oidc';
  readonly earlier?: number;
}

/** The global hold: one workflow for all services. */
export interface GlobalHoldState {
  readonly hold?: Attribution;
}
export interface GlobalHoldStart extends Omit<NextStart<GlobalHoldState>, 'checkEveryMs'> {
  /** What waiting rollouts have not heard yet. */
  readonly pendingProgress?: ProgressNote;
}
export const globalHoldUpdate = defineUpdate<GlobalHoldState, [LaneDecision]>('hold');
export const globalReleaseUpdate = defineUpdate<GlobalHoldState, [LaneDecision]>('release');
export const globalHoldQuery = defineQuery<GlobalHoldState>('globalHold');

/** Merges into one base branch of one repository go one after the other, whichever service they are of. */
export interface MergeTurn extends RolloutRun {
  readonly repository: string;
  readonly base: string;
}
export interface MergeQueueStart extends NextStart<MergeTurns> {
  /** Whose turn has come, and who was not told yet. */
  readonly called?: readonly RolloutRun[];
}
export const mergeQueueQuery = defineQuery<MergeTurns>('queue');
export const requestMergeTurnUpdate = defineUpdate<MergeTurnAnswer, [RolloutRun]>('requestTurn');
export const releaseMergeTurnUpdate = defineUpdate<void, [RolloutRun]>('releaseTurn');
/** A rollout that waits gets the signal `progress` when its turn has come, and asks again. */
export type MergeTurnAnswer = { readonly kind: 'granted' } | { readonly kind: 'waiting'; readonly behind: string };

/** What starts `pass-through:SERVICE:DELIVERY`: one push, with each of its tags, is passed on to the dispatch of a service. */
export interface PassThroughStart {
  readonly plan: Plan;
  /** Of one delivery and one repository; at least one. */
  readonly pushes: readonly ImagePush[];
}

/** What a record is about. */
export interface RecordSubject {
  readonly plan: Pick<Plan, 'service' | 'notify'>;
  readonly image: RunState['image'];
  readonly push: Omit<ImagePush, 'repository' | 'tag' | 'digest'>;
}

/** What starts `build:NAME:COMMIT`. */
export interface BuildStart {
  readonly subject: BuildSubject;
  readonly cause: BuildCause;
}

/** Why something is built, and by whom. Of a schedule, `receivedAt` is empty until it has found something. */
export type BuildCause = Pick<ImagePush, 'source' | 'deliveryId' | 'receivedAt' | 'actor' | 'proven' | 'trigger'>;

/** What starts `search-builds:…`: which folders of a commit are to be built? */
export interface BuildSearch {
  /** Each build of the configuration that has to do with the commit. */
  readonly plans: readonly BuildPlan[];
  /** In place of plans: the name of the build that looks at its branch by itself; what it is, the configuration says then. */
  readonly scheduled?: string;
  /** A full commit, a branch or a tag. */
  readonly ref: string;
  /** What `{branch}` in a tag means. Absent: the ref; where that is a commit, the branch of the plan. */
  readonly branch?: string;
  /** Of folders of a pattern, only those in which something has changed since this commit. */
  readonly before?: string;
  /** What the sender says that the ref has by now: a branch that still has what was there before is asked again. */
  readonly after?: string;
  /** Only these, by their own names; of a plan with `*`, its folders. */
  readonly names?: readonly string[];
  readonly options: BuildOptions;
  readonly cause: BuildCause;
}

/** The answer of the query `state` of a build, and its result: that of a rollout, and what only builds have. */
export interface BuildState extends RunState {
  readonly outputs: BuildOutputs;
}

/** As the action gives them. */
export interface BuildOutputs {
  readonly target?: BuildTarget;
  /** Whether the registry had the tag before. */
  readonly exists?: boolean;
  readonly built: boolean;
  /** It happened, and was not just meant to. */
  readonly pushed: boolean;
  readonly digest?: Digest;
  /** What was moved to it. */
  readonly tags?: readonly Tag[];
  /** Workflow ids of the rollouts that go on with it. */
  readonly rollouts?: readonly string[];
}

/** What starts `rollback:SERVICE:STAGE:N`: an operator rolls back what a stage runs. `at` tells two of the same number apart. */
export interface RollbackStart extends Attribution {
  readonly service: string;
  readonly stage: string;
  /** What is rolled back, with the plan that brought it there. */
  readonly running: Running;
}

/** What `notify:ROLLOUT` sends, one notice after the other. */
export interface NoticeRequest {
  readonly notice: Notice;
  readonly notifiers: readonly NotifierPlan[];
}
export const noticeSignal = defineSignal<[NoticeRequest]>('notice');
