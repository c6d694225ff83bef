import type {
  LookUp,
  MergeTurn,
  MergeTurnAnswer,
  Progress,
  ReleaseAt,
  RollbackStart,
  RolloutStart,
} from '../contracts/messages.ts';
import type { ImagePush } from '../domain/image-push.ts';
import type { Entry, EntryAnswer, Leave, Verified } from '../domain/lane/members.ts';
import type { BeginAnswer, BeginChange, NotRolledBackAt, RanAt, RolledBackAt } from '../domain/lane/running.ts';
import type { Run } from '../domain/lane/state.ts';
import type { TurnAnswer, TurnRequest } from '../domain/lane/turns.ts';
import type {
  CheckResults,
  ConfirmOutcome,
  ImageIdentity,
  LookUpOutcome,
  ProposeOutcome,
  RateLimited,
  ScanSummary,
  SmokeSummary,
  VerifiedImage,
  VerifyOutcome,
} from '../domain/outcomes.ts';
import type { Plan, StagePlan } from '../domain/plan.ts';
import { createDecisions, type DecisionActivities } from './decisions.ts';
import { createDeploy, type DeployActivities } from './deploy.ts';
import { createDispatch, type DispatchActivities } from './dispatch.ts';
import { createFollowUps } from './follow-up.ts';
import { createIntegrate, type IntegrateActivities } from './integrate.ts';
import { createLaneCalls, type LaneCall } from './lane.ts';
import { createLookUp } from './look-up.ts';
import { createMerge, type MergeActivities } from './merge.ts';
import { createNotify, type NotifyActivities } from './notify.ts';
import { createPropose } from './propose.ts';
import { createRedeliver, type RedeliverActivities } from './redeliver.ts';
import { createScan } from './scan.ts';
import { createSearch, type SearchActivities } from './search.ts';
import { createSmoke } from './smoke.ts';
import { createVerify } from './verify.ts';
import { createWatch, type WatchActivities } from './watch.ts';

/** Everything that workflows ask of the outside world. Workflows import this type and nothing else of this folder. */
export interface Activities
  extends MergeActivities,
    DeployActivities,
    WatchActivities,
    IntegrateActivities,
    NotifyActivities,
    DecisionActivities,
    SearchActivities,
    DispatchActivities,
    RedeliverActivities {
  /** `byDigest`: the digest itself is asked for, whatever the tag points to by now; `named`: where the tag points to something else. */
  verify(input: { plan: Plan; image: ImageIdentity; byDigest?: boolean; named?: boolean }): Promise<VerifyOutcome>;
  confirm(input: { plan: Plan; image: ImageIdentity }): Promise<ConfirmOutcome>;
  scan(input: { plan: Plan; image: VerifiedImage }): Promise<ScanSummary | RateLimited>;
  smoke(input: { plan: Plan; image: VerifiedImage }): Promise<SmokeSummary | RateLimited>;
  propose(input: {
    plan: Plan;
    stage: StagePlan;
    image: VerifiedImage;
    push: ImagePush;
    checks: CheckResults;
    asked?: boolean;
  }): Promise<ProposeOutcome>;

  lookUpTags(input: LookUp): Promise<LookUpOutcome>;
  startRollouts(input: { lookUp: LookUp; images: readonly ImageIdentity[] }): Promise<string[]>;

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
  lookAgain(lookUp: LookUp): Promise<void>;
  findEnded(input: { members: readonly Run[] }): Promise<Run[]>;
  startRollback(start: RollbackStart & { readonly workflow: string }): Promise<void>;
  startPromotion(start: RolloutStart): Promise<void>;
  /** Signals `progress` to every rollout that waits. */
  nudgeWaiting(progress: Progress): Promise<void>;
}

/** What each step needs of the outside world, and no more. */
export type Dependencies = Parameters<typeof createVerify>[0] &
  Parameters<typeof createLookUp>[0] &
  Parameters<typeof createScan>[0] &
  Parameters<typeof createSmoke>[0] &
  Parameters<typeof createDispatch>[0] &
  Parameters<typeof createPropose>[0] &
  Parameters<typeof createLaneCalls>[0] &
  Parameters<typeof createMerge>[0] &
  Parameters<typeof createDeploy>[0] &
  Parameters<typeof createWatch>[0] &
  Parameters<typeof createIntegrate>[0] &
  Parameters<typeof createNotify>[0] &
  Parameters<typeof createDecisions>[0] &
  Parameters<typeof createRedeliver>[0] &
  Parameters<typeof createSearch>[0];

export function createActivities(dependencies: Dependencies): Activities {
  const deploys = createDeploy(dependencies);
  const watches = createWatch(dependencies);
  return {
    ...createVerify(dependencies),
    ...createScan(dependencies),
    ...createSmoke(dependencies),
    ...createDispatch(dependencies),
    ...createPropose(dependencies),
    ...createLookUp(dependencies),
    ...createLaneCalls(dependencies),
    ...createFollowUps(dependencies),
    ...createMerge(dependencies),
    ...deploys,
    async watchStage(input) {
      const outcome = await watches.watchStage(input);
      // On the same host and right away: a step of its own would add as many events to the history as a deploy.
      if (input.settles && outcome.kind === 'watched') await deploys.settleStage(input);
      return outcome;
    },
    ...createIntegrate(dependencies),
    ...createNotify(dependencies),
    ...createDecisions(dependencies),
    ...createRedeliver(dependencies),
    ...createSearch(dependencies),
  };
}
