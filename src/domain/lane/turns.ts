import type { TagPolicy } from '../tag-policy.ts';
import { isLater } from './order.ts';
import { type LaneState, memberOf, type Run, type StageLane, type Standing, stageOf } from './state.ts';

/** Who may work in a stage, one at a time. All of it is answered alike when repeated. */

export interface TurnRequest extends Run {
  readonly stage: string;
  readonly policy: TagPolicy;
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
export function request(lane: LaneState, { rollout, runId, stage: name, policy }: TurnRequest): Requested {
  const stage = stageOf(lane, name);
  const member = memberOf(lane, { rollout, runId });
  const mine = member?.standing;
  if (member === undefined || mine === undefined) return { answer: { kind: 'unknown' }, superseded: [], grants: [] };
  const refusal = refusalOf(lane, stage, policy, mine);
  if (refusal !== undefined) {
    if (refusal.kind === 'superseded' && stage.asked !== undefined) member.supersededBy = stage.asked;
    return { answer: refusal, superseded: [], grants: vacate(lane, rollout, name) };
  }
  stage.asked = mine;
  if (stage.holder === rollout) return { answer: { kind: 'granted', turn: stage.turn }, superseded: [], grants: [] };
  const superseded = supersede(lane, stage, policy, mine);
  if (!stage.waiters.includes(rollout)) stage.waiters.push(rollout);
  const grant = grantNext(lane, name);
  if (grant?.rollout === rollout) return { answer: { kind: 'granted', turn: grant.turn }, superseded, grants: [] };
  return { answer: { kind: 'waiting', behind: stage.holder ?? '' }, superseded, grants: grant === undefined ? [] : [grant] };
}

function refusalOf(lane: LaneState, stage: StageLane, policy: TagPolicy, mine: Standing): TurnAnswer | undefined {
  const { rollout, digest, asked } = mine;
  const quarantine = lane.quarantine[digest];
  if (quarantine !== undefined) return { kind: 'quarantined', reason: quarantine.reason };
  const { asked: latest, current } = stage;
  if (latest !== undefined && latest.rollout !== rollout && isLater(policy, latest, mine)) {
    return { kind: 'superseded', by: latest.rollout };
  }
  if (!asked && current?.digest === digest && current.rollout !== rollout) return { kind: 'unchanged', by: current.rollout };
  return undefined;
}

function supersede(lane: LaneState, stage: StageLane, policy: TagPolicy, mine: Standing): string[] {
  const there = [...stage.waiters, ...(stage.holder === undefined ? [] : [stage.holder])];
  return there.filter((rollout) => {
    const member = lane.members[rollout];
    if (rollout === mine.rollout || member?.standing === undefined || !isLater(policy, mine, member.standing)) return false;
    member.supersededBy = mine;
    return true;
  });
}

/** A rollout is done with a stage. `reached`: the stage has its image now. */
export function release(lane: LaneState, at: Run & { readonly stage: string; readonly reached: boolean }): Grant[] {
  const standing = memberOf(lane, at)?.standing;
  const stage = stageOf(lane, at.stage);
  if (stage.holder !== at.rollout || standing === undefined) return [];
  if (at.reached) stage.current = standing;
  return vacate(lane, at.rollout, at.stage);
}

/** The stages that a rollout holds have its image now. */
export function reach(lane: LaneState, rollout: string): void {
  const standing = lane.members[rollout]?.standing;
  if (standing === undefined) return;
  for (const stage of Object.values(lane.stages)) if (stage.holder === rollout) stage.current = standing;
}

/** Takes a rollout out of all stages. That it has asked counts no more, unless it got there. */
export function withdraw(lane: LaneState, rollout: string): Grant[] {
  return Object.keys(lane.stages).flatMap((name) => {
    const stage = stageOf(lane, name);
    if (stage.asked?.rollout === rollout && stage.current?.rollout !== rollout) {
      if (stage.current === undefined) delete stage.asked;
      else stage.asked = stage.current;
    }
    return vacate(lane, rollout, name);
  });
}

function vacate(lane: LaneState, rollout: string, stageName: string): Grant[] {
  const stage = stageOf(lane, stageName);
  stage.waiters = stage.waiters.filter((waiter) => waiter !== rollout);
  if (stage.holder === rollout) delete stage.holder;
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
