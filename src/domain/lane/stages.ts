import type { Digest } from '../image-reference.ts';
import { fitStages } from './bounds.ts';
import { isNotedDelivered, noteDelivered } from './delivered.ts';
import { quarantine } from './quarantine.ts';
import type { Before, BeginAnswer, BeginChange, NotRolledBackAt, RanAt, RolledBackAt, Undoable } from './running.ts';
import {
  type LaneState,
  type Member,
  memberOf,
  type Run,
  type RunEarlier,
  type RunningNow,
  type StageLane,
  stageOf,
} from './state.ts';

/** What each stage runs, and whether it may be changed now. All of it is answered alike when repeated. */

const mostEarlier = 10;
const longestReason = 500;

/** What was found outside of the lane: the windows are closed, or the line is stopped. */
export interface Shut {
  readonly reason: string;
  /** ISO 8601, UTC; absent: nobody knows. */
  readonly until?: string;
}

/**
 * From here on a rollout changes the running system, and cannot be superseded any more. A roll-back is never held back.
 * @param at its windows are not looked at: `shut` says what came out
 */
export function begin(lane: LaneState, at: Omit<BeginChange, 'windows'>, shut?: Shut): BeginAnswer {
  const stage = stageOf(lane, at.stage);
  const member = memberOf(lane, at);
  if (member === undefined || stage.holder !== at.rollout) return { kind: 'unknown' };
  const digest = member.standing?.digest ?? member.digest;
  if (!stage.begun && !member.rollback) {
    const refusal = refusalOf(lane, at.stage, member, digest, shut);
    if (refusal !== undefined) return refusal;
  }
  stage.begun = true;
  const before = beforeOf(stage, digest);
  const again = stage.running?.digest === digest ? undoable(stage.running) : undefined;
  return { kind: 'go', turn: stage.turn, ...(before !== undefined && { before }), ...(again !== undefined && { again }) };
}

function undoable({ before, ...running }: RunningNow): Undoable {
  return { before, ...mergedOf(running) };
}

function refusalOf(lane: LaneState, name: string, member: Member, digest: Digest, shut?: Shut): BeginAnswer | undefined {
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
  return shut === undefined ? undefined : { kind: 'wait', ...shut };
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${reason}`;
}

/** What is gone back to, should this digest turn out badly. Where the stage runs that already, it is what ran before it. */
function beforeOf({ running }: StageLane, digest: Digest): Before['image'] {
  if (running === undefined) return undefined;
  return running.digest === digest ? running.before.image : identityOf(running);
}

function identityOf({ repository, tag, digest }: RunningNow): NonNullable<Before['image']> {
  return { repository, tag, digest };
}

/** The stage runs a rollout's image from now on, healthy or not. */
export function ran(lane: LaneState, at: RanAt): void {
  const stage = stageOf(lane, at.stage);
  if (!mayTell(lane, stage, at)) return;
  const { running } = at;
  const standing = lane.members[at.rollout]?.standing;
  const plan = { ...running.plan, stages: running.plan.stages.filter(({ name }) => name === at.stage) };
  const former = stage.running;
  const again = former?.digest === running.digest ? former : undefined;
  if (former !== undefined && again === undefined) remember(stage, { ...withoutPlan(former), until: running.since });
  // What ran before this digest, and not what ran before it was brought there once more.
  const before = again?.before ?? running.before;
  // Deployed once more, it may have had nothing to merge: what was merged for it is still there.
  const merged = again !== undefined && running.proposal === undefined ? mergedOf(again) : {};
  stage.running = { ...running, ...merged, plan, before, ...(standing !== undefined && !standing.rollback && { standing }) };
  delete stage.lastPlan;
  delete stage.unpinned;
  noteDelivered(lane, at.stage, running, running.since);
  fitStages(lane);
}

function mergedOf({ proposal, commit }: Pick<RunningNow, 'proposal' | 'commit'>): Pick<RunningNow, 'proposal' | 'commit'> {
  return { ...(proposal !== undefined && { proposal }), ...(commit !== undefined && { commit }) };
}

/** Whoever was forgotten may tell what it did, but not against somebody who works there now. */
function mayTell(lane: LaneState, { holder }: StageLane, at: Run): boolean {
  if (memberOf(lane, at) !== undefined) return true;
  return lane.members[at.rollout] === undefined && holder === undefined;
}

function withoutPlan({ plan: _, ...rest }: RunningNow): Omit<RunningNow, 'plan'> {
  return rest;
}

function remember(stage: StageLane, entry: RunEarlier): void {
  stage.earlier = [entry, ...(stage.earlier ?? [])].slice(0, mostEarlier);
}

/**
 * The stage goes back to what it ran before, and its digest is quarantined. A push of what it goes back to ends `unchanged` then.
 * @returns the digests that are in quarantine by it
 */
export function rolledBack(lane: LaneState, at: RolledBackAt): Digest[] {
  const stage = stageOf(lane, at.stage);
  const member = memberOf(lane, at);
  const digests = [...(member === undefined ? [] : [member.digest]), at.digest];
  quarantine(lane, digests, { reason: at.reason.slice(0, longestReason), by: at.by.slice(0, longestReason), at: at.at });
  if (stage.running?.digest !== at.digest || !mayTell(lane, stage, at)) return digests;
  if (!isNotedDelivered(lane, at.stage, at.digest)) noteDelivered(lane, at.stage, stage.running, stage.running.since);
  unpin(stage, at.digest);
  const restored = putBack(stage, stage.running, at.at);
  if (restored === undefined) {
    delete stage.current;
  } else {
    const { tag, digest } = restored;
    // Under the name of whoever goes back: the rollout that brought it first is another run by now, and is told `unchanged`.
    stage.current = { ...(restored.standing ?? { tag, digest, sequence: 0, asked: false }), rollout: at.rollout };
  }
  if (stage.asked?.digest === at.digest) askedIs(stage, stage.current);
  return digests;
}

/** The stage runs what was to be undone. Where an operator left it so, it is not in quarantine: only what was rolled back or rejected is. */
export function notRolledBack(lane: LaneState, at: NotRolledBackAt): void {
  const { running } = at;
  const stage = stageOf(lane, at.stage);
  const member = memberOf(lane, at);
  for (const digest of [running.digest, ...(member === undefined ? [] : [member.digest])])
    if (at.toldAt !== undefined && lane.quarantine[digest]?.at === at.toldAt) delete lane.quarantine[digest];
  if (stage.running?.digest === running.digest || !mayTell(lane, stage, at)) return;
  const { pin, unpinned } = stage;
  // Whoever goes back stands there as if it had gone back.
  if (stage.current?.rollout === at.rollout) delete stage.current;
  if (stage.asked?.rollout === at.rollout) delete stage.asked;
  ran(lane, at);
  if (pin === undefined && unpinned?.digest === running.digest) stage.pin = unpinned;
}

/** Pinned and in quarantine, it would keep everything out of the stage, and not come in itself. */
function unpin(stage: StageLane, digest: Digest): void {
  if (stage.pin?.digest !== digest) return;
  stage.unpinned = stage.pin;
  delete stage.pin;
}

function askedIs(stage: StageLane, standing: StageLane['current']): void {
  if (standing === undefined) delete stage.asked;
  else stage.asked = standing;
}

function putBack(stage: StageLane, undone: RunningNow, since: string): RunningNow | undefined {
  const before = undone.before.image?.digest;
  const entry = stage.earlier?.find(({ digest }) => digest === before);
  delete stage.running;
  if (entry === undefined) {
    stage.lastPlan = undone.plan;
    return undefined;
  }
  const { until: _, ...rest } = entry;
  stage.earlier = stage.earlier?.filter((other) => other !== entry) ?? [];
  stage.running = { ...rest, since, plan: undone.plan };
  return stage.running;
}
