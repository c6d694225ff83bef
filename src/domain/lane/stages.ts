import type { Digest } from '../image-reference.ts';
import { fitStages } from './bounds.ts';
import { isNotedDelivered, noteDelivered } from './delivered.ts';
import { quarantine } from './quarantine.ts';
import type { RolloutRun } from './run.ts';
import type {
  BeginAnswer,
  BeginChange,
  NotRolledBackReport,
  PreviousState,
  RollbackBasis,
  RolledBackReport,
  RunningReport,
} from './running.ts';
import {
  type CurrentRunning,
  type EarlierRunning,
  type LaneMember,
  type LaneState,
  memberOf,
  type StageLane,
  stageOf,
} from './state.ts';

/** What each stage runs, and whether it may be changed now. All of it is answered alike when repeated. */

const mostEarlier = 10;
const longestReason = 500;

/** What was found outside of the lane: the windows are closed, or there is a global hold. */
export interface ExternalHold {
  readonly reason: string;
  /** ISO 8601, UTC; absent: nobody knows. */
  readonly until?: string;
}

/**
 * From here on a rollout changes the running system, and cannot be superseded any more. A rollback is never held back.
 * @param at its windows are not looked at: `shut` says what came out
 */
export function begin(lane: LaneState, at: Omit<BeginChange, 'windows'>, externalHold?: ExternalHold): BeginAnswer {
  const stage = stageOf(lane, at.stage);
  const member = memberOf(lane, at);
  if (member === undefined || stage.holder !== at.rollout) return { kind: 'unknown' };
  const digest = member.position?.digest ?? member.digest;
  if (!stage.begun && !member.rollback) {
    const refusal = refusalOf(lane, at.stage, member, digest, externalHold);
    if (refusal !== undefined) return refusal;
  }
  stage.begun = true;
  const before = beforeOf(stage, digest);
  const again = stage.running?.digest === digest ? undoable(stage.running) : undefined;
  return { kind: 'go', turn: stage.turn, ...(before !== undefined && { before }), ...(again !== undefined && { again }) };
}

function undoable({ before, ...running }: CurrentRunning): RollbackBasis {
  return { before, ...mergedOf(running) };
}

function refusalOf(
  lane: LaneState,
  name: string,
  member: LaneMember,
  digest: Digest,
  externalHold?: ExternalHold,
): BeginAnswer | undefined {
  const by = member.supersededIn?.[name];
  if (by !== undefined) return { kind: 'superseded', by };
  const quarantined = lane.quarantine[digest] ?? lane.quarantine[member.digest];
  if (quarantined !== undefined) return { kind: 'quarantined', reason: quarantined.reason };
  const { hold, pin } = stageOf(lane, name);
  if (lane.hold !== undefined) return { kind: 'wait', reason: `held by ${lane.hold.by}${because(lane.hold.reason)}` };
  if (hold !== undefined) return { kind: 'wait', reason: `${name} is held by ${hold.by}${because(hold.reason)}` };
  if (pin !== undefined && pin.digest !== digest) {
    return { kind: 'wait', reason: `${name} is pinned to ${pin.digest} by ${pin.by}${because(pin.reason)}` };
  }
  return externalHold === undefined ? undefined : { kind: 'wait', ...externalHold };
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${reason}`;
}

/** What is gone back to, should this digest turn out badly. Where the stage runs that already, it is what ran before it. */
function beforeOf({ running }: StageLane, digest: Digest): PreviousState['image'] {
  if (running === undefined) return undefined;
  return running.digest === digest ? running.before.image : identityOf(running);
}

function identityOf({ repository, tag, digest }: CurrentRunning): NonNullable<PreviousState['image']> {
  return { repository, tag, digest };
}

/** The stage runs a rollout's image from now on, healthy or not. */
export function ran(lane: LaneState, at: RunningReport): void {
  const stage = stageOf(lane, at.stage);
  if (!mayTell(lane, stage, at)) return;
  const { running } = at;
  const position = lane.members[at.rollout]?.position;
  const plan = { ...running.plan, stages: running.plan.stages.filter(({ name }) => name === at.stage) };
  const former = stage.running;
  const again = former?.digest === running.digest ? former : undefined;
  if (former !== undefined && again === undefined) remember(stage, { ...withoutPlan(former), until: running.since });
  // What ran before this digest, and not what ran before it was brought there once more.
  const before = again?.before ?? running.before;
  // Deployed once more, it may have had nothing to merge: what was merged for it is still there.
  const merged = again !== undefined && running.proposal === undefined ? mergedOf(again) : {};
  stage.running = { ...running, ...merged, plan, before, ...(position !== undefined && !position.rollback && { position }) };
  delete stage.lastPlan;
  delete stage.unpinned;
  noteDelivered(lane, at.stage, running, running.since);
  fitStages(lane);
}

function mergedOf({
  proposal,
  commit,
}: Pick<CurrentRunning, 'proposal' | 'commit'>): Pick<CurrentRunning, 'proposal' | 'commit'> {
  return { ...(proposal !== undefined && { proposal }), ...(commit !== undefined && { commit }) };
}

/** A rollout the lane has forgotten may still report, unless another one holds the stage. */
function mayTell(lane: LaneState, { holder }: StageLane, at: RolloutRun): boolean {
  if (memberOf(lane, at) !== undefined) return true;
  return lane.members[at.rollout] === undefined && holder === undefined;
}

function withoutPlan({ plan: _, ...rest }: CurrentRunning): Omit<CurrentRunning, 'plan'> {
  return rest;
}

function remember(stage: StageLane, entry: EarlierRunning): void {
  stage.earlier = [entry, ...(stage.earlier ?? [])].slice(0, mostEarlier);
}

/**
 * The stage goes back to what it ran before, and its digest is quarantined. A push of what it goes back to ends `unchanged` then.
 * @returns the digests that are in quarantine by it
 */
export function rolledBack(lane: LaneState, at: RolledBackReport): Digest[] {
  const stage = stageOf(lane, at.stage);
  const member = memberOf(lane, at);
  const digests = [...(member === undefined ? [] : [member.digest]), at.digest];
  quarantine(lane, digests, { reason: at.reason.slice(0, longestReason), by: at.by.slice(0, longestReason), at: at.at });
  if (stage.running?.digest !== at.digest || !mayTell(lane, stage, at)) return digests;
  if (!isNotedDelivered(lane, at.stage, at.digest)) noteDelivered(lane, at.stage, stage.running, stage.running.since);
  unpin(stage, at.digest);
  const restored = restorePrevious(stage, stage.running, at.at);
  if (restored === undefined) {
    delete stage.current;
  } else {
    const { tag, digest } = restored;
    // Attributed to the rollback: the rollout that first deployed this digest has ended, and a new push of it must end `unchanged`.
    stage.current = { ...(restored.position ?? { tag, digest, sequence: 0, manual: false }), rollout: at.rollout };
  }
  if (stage.latest?.digest === at.digest) setLatest(stage, stage.current);
  return digests;
}

/** The stage still runs what was to be rolled back. Where an operator left it so, it is not in quarantine: only what was rolled back or rejected is. */
export function notRolledBack(lane: LaneState, at: NotRolledBackReport): void {
  const { running } = at;
  const stage = stageOf(lane, at.stage);
  const member = memberOf(lane, at);
  for (const digest of [running.digest, ...(member === undefined ? [] : [member.digest])])
    if (at.reportedAt !== undefined && lane.quarantine[digest]?.at === at.reportedAt) delete lane.quarantine[digest];
  if (stage.running?.digest === running.digest || !mayTell(lane, stage, at)) return;
  const { pin, unpinned } = stage;
  // The rollback was noted as if it had been done.
  if (stage.current?.rollout === at.rollout) delete stage.current;
  if (stage.latest?.rollout === at.rollout) delete stage.latest;
  ran(lane, at);
  if (pin === undefined && unpinned?.digest === running.digest) stage.pin = unpinned;
}

/** Pinned and in quarantine, it would keep everything out of the stage, and not come in itself. */
function unpin(stage: StageLane, digest: Digest): void {
  if (stage.pin?.digest !== digest) return;
  stage.unpinned = stage.pin;
  delete stage.pin;
}

function setLatest(stage: StageLane, position: StageLane['current']): void {
  if (position === undefined) delete stage.latest;
  else stage.latest = position;
}

function restorePrevious(stage: StageLane, replaced: CurrentRunning, since: string): CurrentRunning | undefined {
  const before = replaced.before.image?.digest;
  const entry = stage.earlier?.find(({ digest }) => digest === before);
  delete stage.running;
  if (entry === undefined) {
    stage.lastPlan = replaced.plan;
    return undefined;
  }
  const { until: _, ...rest } = entry;
  stage.earlier = stage.earlier?.filter((other) => other !== entry) ?? [];
  stage.running = { ...rest, since, plan: replaced.plan };
  return stage.running;
}
