import type { Digest } from '../image-reference.ts';
import type { ImageIdentity } from '../outcomes.ts';
import { budgets, bytesOf, longestReason, quarantine } from './bounds.ts';
import {
  type BeginAnswer,
  type BeginChange,
  type CurrentRunning,
  type Delivered,
  type ExternalHold,
  type LaneMember,
  type LaneState,
  memberOf,
  type NotRolledBackReport,
  type RolledBackReport,
  type RolloutRun,
  type RunningReport,
  type StageLane,
  stageOf,
} from './state.ts';

/** What each stage runs, and whether it may be changed now. All of it is answered alike when repeated. */

const mostEarlier = 10;
const mostDelivered = 50;

/** From here on a rollout changes the running system, and cannot be superseded any more. A rollback is never held back. */
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
  const go = { kind: 'go', turn: stage.turn } as const;
  const { running } = stage;
  if (running === undefined) return go;
  if (running.digest !== digest) return { ...go, before: identityOf(running) };
  // It runs already: what would be gone back to is what ran before it.
  const { before } = running;
  return { ...go, ...(before.image !== undefined && { before: before.image }), again: { before, ...mergedOf(running) } };
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

function identityOf({ repository, tag, digest }: ImageIdentity): ImageIdentity {
  return { repository, tag, digest };
}

function mergedOf({ proposal, commit }: CurrentRunning): Pick<CurrentRunning, 'proposal' | 'commit'> {
  return { ...(proposal !== undefined && { proposal }), ...(commit !== undefined && { commit }) };
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
  if (former !== undefined && again === undefined) {
    const { plan: _, ...entry } = former;
    stage.earlier = [{ ...entry, until: running.since }, ...(stage.earlier ?? [])].slice(0, mostEarlier);
  }
  // What ran before this digest, and not what ran before it was brought there once more.
  const before = again?.before ?? running.before;
  // Deployed once more, it may have had nothing to merge: what was merged for it is still there.
  const merged = again !== undefined && running.proposal === undefined ? mergedOf(again) : {};
  stage.running = { ...running, ...merged, plan, before, ...(position !== undefined && !position.rollback && { position }) };
  delete stage.lastPlan;
  delete stage.unpinned;
  noteDelivered(lane, at.stage, running, running.since);
  fitStages(lane.stages);
}

/** A rollout the lane has forgotten may still report, unless another one holds the stage. */
function mayTell(lane: LaneState, { holder }: StageLane, at: RolloutRun): boolean {
  return memberOf(lane, at) !== undefined || (lane.members[at.rollout] === undefined && holder === undefined);
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
  const { running, pin } = stage;
  if (running?.digest !== at.digest || !mayTell(lane, stage, at)) return digests;
  if (!deliveredTo(lane, at.stage).some(({ digest }) => digest === at.digest)) {
    noteDelivered(lane, at.stage, running, running.since);
  }
  // Pinned and in quarantine, it would keep everything out of the stage, and not come in itself.
  if (pin?.digest === at.digest) {
    stage.unpinned = pin;
    delete stage.pin;
  }
  const restored = restorePrevious(stage, running, at.at);
  delete stage.current;
  if (restored !== undefined) {
    const { tag, digest } = restored;
    // Attributed to the rollback: the rollout that first deployed this digest has ended, and a new push of it must end `unchanged`.
    stage.current = { ...(restored.position ?? { tag, digest, sequence: 0, manual: false }), rollout: at.rollout };
  }
  if (stage.latest?.digest === at.digest) {
    delete stage.latest;
    if (stage.current !== undefined) stage.latest = stage.current;
  }
  return digests;
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

/** The stage still runs what was to be rolled back. If an operator left it so, it is not in quarantine: only what was rolled back or rejected is. */
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

/** Also what was rolled back since can be brought there again. */
export function noteDelivered(lane: LaneState, stage: string, image: ImageIdentity, at: string): void {
  const others = deliveredTo(lane, stage).filter(({ digest }) => digest !== image.digest);
  lane.delivered = { ...lane.delivered, [stage]: [{ ...identityOf(image), at }, ...others].slice(0, mostDelivered) };
  let excess = bytesOf(lane.delivered) - budgets.delivered;
  while (excess > 0) {
    // Whichever went out longest ago, in whatever stage, is forgotten first; what a stage got last is kept.
    const several = Object.values(lane.delivered).filter(({ length }) => length > 1);
    const oldest = oldestOf(several, (delivered) => delivered.at(-1)?.at);
    if (oldest === undefined) return;
    excess -= bytesOf(oldest.pop());
  }
}

/** A stage may have the name of what every object has. */
function deliveredTo({ delivered }: LaneState, stage: string): readonly Delivered[] {
  return Object.hasOwn(delivered, stage) ? (delivered[stage] ?? []) : [];
}

/** First what was run long ago, then what it takes to roll back what runs for the longest time. */
function fitStages(all: LaneState['stages']): void {
  while (bytesOf(all) > budgets.stages) {
    const stages = Object.values(all);
    for (const stage of stages) delete stage.lastPlan;
    const withEarlier = oldestOf(stages, ({ earlier }) => earlier?.at(-1)?.until);
    const withRunning = withEarlier ?? oldestOf(stages, ({ running }) => running?.since);
    if (withEarlier !== undefined) withEarlier.earlier?.pop();
    else if (withRunning !== undefined) delete withRunning.running;
    else return;
  }
}

/** The first of those with the least time; undefined if none has any. */
function oldestOf<Kept>(all: readonly Kept[], timeOf: (kept: Kept) => string | undefined): Kept | undefined {
  let oldest: { kept: Kept; time: string } | undefined;
  for (const kept of all) {
    const time = timeOf(kept);
    if (time !== undefined && (oldest === undefined || time < oldest.time)) oldest = { kept, time };
  }
  return oldest?.kept;
}
