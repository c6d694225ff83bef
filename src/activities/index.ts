import type { ImagePush } from '../domain/image-push.ts';
import type { Entry, EntryAnswer, Leave, Verified } from '../domain/lane/members.ts';
import type { Run } from '../domain/lane/state.ts';
import type { TurnAnswer, TurnRequest } from '../domain/lane/turns.ts';
import type {
  CheckResults,
  ConfirmOutcome,
  DispatchOutcome,
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
import type { LookUp, ReleaseAt } from '../workflows/messages.ts';
import { createDispatch } from './dispatch.ts';
import { createFollowUps } from './follow-up.ts';
import { createLaneCalls, type LaneCall } from './lane.ts';
import { createLookUp } from './look-up.ts';
import { createPropose } from './propose.ts';
import { createScan } from './scan.ts';
import { createSmoke } from './smoke.ts';
import { createVerify } from './verify.ts';

/** Everything that workflows ask of the outside world. Workflows import this type and nothing else of this folder. */
export interface Activities {
  verify(input: { plan: Plan; image: ImageIdentity }): Promise<VerifyOutcome>;
  confirm(input: { plan: Plan; image: ImageIdentity }): Promise<ConfirmOutcome>;
  scan(input: { plan: Plan; image: VerifiedImage }): Promise<ScanSummary | RateLimited>;
  smoke(input: { plan: Plan; image: VerifiedImage }): Promise<SmokeSummary | RateLimited>;
  dispatch(input: { plan: Plan; stage: StagePlan; image: VerifiedImage; push: ImagePush }): Promise<DispatchOutcome>;
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
  lookAgain(lookUp: LookUp): Promise<void>;
  findEnded(input: { members: readonly Run[] }): Promise<Run[]>;
}

/** What each step needs of the outside world, and no more. */
export type Dependencies = Parameters<typeof createVerify>[0] &
  Parameters<typeof createLookUp>[0] &
  Parameters<typeof createScan>[0] &
  Parameters<typeof createSmoke>[0] &
  Parameters<typeof createDispatch>[0] &
  Parameters<typeof createPropose>[0] &
  Parameters<typeof createLaneCalls>[0];

export function createActivities(dependencies: Dependencies): Activities {
  return {
    ...createVerify(dependencies),
    ...createScan(dependencies),
    ...createSmoke(dependencies),
    ...createDispatch(dependencies),
    ...createPropose(dependencies),
    ...createLookUp(dependencies),
    ...createLaneCalls(dependencies),
    ...createFollowUps(dependencies),
  };
}
