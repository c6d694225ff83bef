import type { Digest, Tag } from '../image-reference.ts';
import type { TagPolicy } from '../tag-policy.ts';
import { isLater } from './order.ts';
import type { RolloutRun } from './run.ts';
import { type LaneMember, type LanePosition, type LaneState, memberOf, type StageLane, stageOf } from './state.ts';

/** Who may work in a stage, one at a time. All of it is answered alike when repeated. */

export interface TurnRequest extends RolloutRun {
  readonly stage: string;
  /** Not used for a rollback. */
  readonly policy: TagPolicy;
  /** A rollback of this digest: it enters by asking, goes before all others, and supersedes every rollout that has not begun to change anything. */
  readonly rollback?: { readonly tag: Tag; readonly digest: Digest };
}

export type TurnAnswer =
  | { readonly kind: 'granted'; readonly turn: number }
  | { readonly kind: 'waiting'; readonly behind: string }
  | { readonly kind: 'superseded' | 'unchanged'; readonly by: string }
  | { readonly kind: 'quarantined'; readonly reason: string }
  /** The lane does not know this run, because it lost its memory: enter again. */
  | { readonly kind: 'unknown' };

export interface Grant {
  readonly rollout: string;
  readonly stage: string;
  readonly turn: number;
}

interface Requested {
  readonly answer: TurnAnswer;
  /** Rollouts of this stage that are superseded wherever they wait for something. */
  readonly superseded: readonly string[];
  /** Turns of others that became free. */
  readonly grants: readonly Grant[];
}

/** A verified rollout asks for a stage's turn, and asks again when it was granted: much may have happened while it waited. */
export function request(lane: LaneState, asking: TurnRequest): Requested {
  if (asking.rollback !== undefined) return requestRollback(lane, asking, asking.rollback);
  const { rollout, stage: name, policy } = asking;
  const stage = stageOf(lane, name);
  const member = memberOf(lane, asking);
  const mine = member?.position;
  if (member === undefined || mine === undefined) return { answer: { kind: 'unknown' }, superseded: [], grants: [] };
  if (stage.holder === rollout && stage.begun)
    return { answer: { kind: 'granted', turn: stage.turn }, superseded: [], grants: [] };
  const refusal = rollbackGoesFirst(lane, member, name) ?? refusalOf(lane, stage, policy, mine);
  if (refusal !== undefined) {
    if (refusal.kind === 'superseded') member.supersededBy = lane.members[refusal.by]?.position ?? stage.latest ?? mine;
    return { answer: refusal, superseded: [], grants: vacate(lane, rollout, name) };
  }
  stage.latest = mine;
  // What was superseded here before it left and came again, is not any more.
  delete member.supersededIn?.[name];
  if (stage.holder === rollout) return { answer: { kind: 'granted', turn: stage.turn }, superseded: [], grants: [] };
  const superseded = supersede(lane, name, mine, (theirs) => isLater(policy, mine, theirs));
  if (!stage.waiters.includes(rollout)) stage.waiters.push(rollout);
  return takeOrWait(lane, name, rollout, superseded);
}

/** A rollout that a rollback superseded comes again when that has ended, with what its tag is by then. */
function rollbackGoesFirst(lane: LaneState, { supersededIn }: LaneMember, stage: string): TurnAnswer | undefined {
  const by = supersededIn?.[stage];
  return by !== undefined && lane.members[by]?.rollback ? { kind: 'superseded', by } : undefined;
}

/** A rollback goes before all others, and waits only for a rollout that has begun to change the stage. */
function requestRollback(
  lane: LaneState,
  { rollout, runId, stage: name }: TurnRequest,
  { tag, digest }: NonNullable<TurnRequest['rollback']>,
): Requested {
  const stage = stageOf(lane, name);
  const known = memberOf(lane, { rollout, runId });
  const isMine = known !== undefined && stage.holder === rollout;
  const granted: Requested = { answer: { kind: 'granted', turn: stage.turn }, superseded: [], grants: [] };
  if (isMine && stage.begun) return granted;
  const earlier = known === undefined ? leaveBehind(lane, rollout) : [];
  const by = instead(lane, stage, digest);
  if (by !== undefined) {
    return { answer: { kind: 'unchanged', by }, superseded: [], grants: [...earlier, ...leaveBehind(lane, rollout)] };
  }
  if (isMine) return granted;
  if (known === undefined) {
    lane.clock += 1;
    const position: LanePosition = { rollout, tag, digest, sequence: lane.clock, manual: true, rollback: true };
    lane.members[rollout] = { runId, tag, digest, manual: true, position, rollback: true };
  }
  const mine = lane.members[rollout]?.position;
  const superseded = mine === undefined ? [] : supersede(lane, name, mine, ({ sequence }) => sequence < mine.sequence);
  const rollbacks = stage.waiters.filter((waiter) => lane.members[waiter]?.rollback);
  if (!rollbacks.includes(rollout)) stage.waiters.splice(rollbacks.length, 0, rollout);
  const requested = takeOrWait(lane, name, rollout, superseded);
  return { ...requested, grants: [...earlier, ...requested.grants] };
}

/** The rollout that made a rollback pointless, because the stage does not run the digest any more. Often known only once the turn has come. */
function instead(lane: LaneState, { running }: StageLane, digest: Digest): string | undefined {
  if (running === undefined) return lane.quarantine[digest] && (lane.quarantine[digest].by ?? 'a rollback');
  return running.digest === digest ? undefined : running.rollout;
}

function leaveBehind(lane: LaneState, rollout: string): Grant[] {
  delete lane.members[rollout];
  return withdraw(lane, rollout);
}

function takeOrWait(lane: LaneState, name: string, rollout: string, superseded: readonly string[]): Requested {
  const grant = grantNext(lane, name);
  if (grant?.rollout === rollout) return { answer: { kind: 'granted', turn: grant.turn }, superseded, grants: [] };
  const behind = stageOf(lane, name).holder ?? '';
  return { answer: { kind: 'waiting', behind }, superseded, grants: grant === undefined ? [] : [grant] };
}

function refusalOf(lane: LaneState, stage: StageLane, policy: TagPolicy, mine: LanePosition): TurnAnswer | undefined {
  const { rollout, digest, manual } = mine;
  const quarantine = lane.quarantine[digest];
  if (quarantine !== undefined) return { kind: 'quarantined', reason: quarantine.reason };
  const { latest, current } = stage;
  if (latest !== undefined && latest.rollout !== rollout && isLater(policy, latest, mine)) {
    return { kind: 'superseded', by: latest.rollout };
  }
  if (!manual && current?.digest === digest && current.rollout !== rollout) return { kind: 'unchanged', by: current.rollout };
  return undefined;
}

/** Those who stand in a stage, have not begun to change it, and go after `mine`. */
function supersede(lane: LaneState, name: string, mine: LanePosition, goesAfter: (theirs: LanePosition) => boolean): string[] {
  const stage = stageOf(lane, name);
  const there = [...stage.waiters, ...(stage.holder === undefined || stage.begun ? [] : [stage.holder])];
  return there.filter((rollout) => {
    const member = lane.members[rollout];
    if (rollout === mine.rollout || !canBeSuperseded(member) || !goesAfter(member.position)) return false;
    member.supersededBy = mine;
    member.supersededIn = { ...member.supersededIn, [name]: mine.rollout };
    return true;
  });
}

function canBeSuperseded(member: LaneMember | undefined): member is LaneMember & { readonly position: LanePosition } {
  return member?.position !== undefined && !member.rollback;
}

/** Whether it changes a running system, or is about to. */
export function hasBegun(lane: LaneState, rollout: string): boolean {
  return Object.values(lane.stages).some(({ holder, begun }) => begun && holder === rollout);
}

/** A rollout is done with a stage. `reached`: the stage has its image now. */
export function release(lane: LaneState, at: RolloutRun & { readonly stage: string; readonly reached: boolean }): Grant[] {
  const member = memberOf(lane, at);
  const stage = stageOf(lane, at.stage);
  if (stage.holder !== at.rollout || member?.position === undefined) return [];
  if (at.reached && !member.rollback) stage.current = member.position;
  return vacate(lane, at.rollout, at.stage);
}

/** The stages that a rollout holds have its image now. */
export function reach(lane: LaneState, rollout: string): void {
  const member = lane.members[rollout];
  if (member?.position === undefined || member.rollback) return;
  for (const stage of Object.values(lane.stages)) if (stage.holder === rollout) stage.current = member.position;
}

/** Takes a rollout out of all stages. That it has asked counts no more, unless it got there. */
export function withdraw(lane: LaneState, rollout: string): Grant[] {
  return Object.keys(lane.stages).flatMap((name) => {
    const stage = stageOf(lane, name);
    if (stage.latest?.rollout === rollout && stage.current?.rollout !== rollout) {
      if (stage.current === undefined) delete stage.latest;
      else stage.latest = stage.current;
    }
    return vacate(lane, rollout, name);
  });
}

function vacate(lane: LaneState, rollout: string, stageName: string): Grant[] {
  const stage = stageOf(lane, stageName);
  stage.waiters = stage.waiters.filter((waiter) => waiter !== rollout);
  if (stage.holder === rollout) {
    delete stage.holder;
    delete stage.begun;
  }
  const grant = grantNext(lane, stageName);
  return grant === undefined ? [] : [grant];
}

/** Gives a free turn to the first who waits for it. */
function grantNext(lane: LaneState, stageName: string): Grant | undefined {
  const stage = stageOf(lane, stageName);
  if (stage.holder !== undefined) return undefined;
  const rollout = stage.waiters.shift();
  if (rollout === undefined) return undefined;
  lane.clock += 1;
  stage.turn = lane.clock;
  stage.holder = rollout;
  return { rollout, stage: stageName, turn: stage.turn };
}

/** Whether somebody waits for a turn that somebody else holds: only then does it matter whether the holder is alive. */
export function someoneWaits(lane: LaneState): boolean {
  return Object.values(lane.stages).some((stage) => stage.waiters.length > 0);
}
