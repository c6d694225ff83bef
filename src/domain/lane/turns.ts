import type { Digest, Tag } from '../image-reference.ts';
import { compareCandidates, type TagPolicy } from '../tag-policy.ts';
import {
  type LaneMember,
  type LanePosition,
  type LaneState,
  memberOf,
  type RolloutRun,
  type StageLane,
  stageOf,
} from './state.ts';

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

/** Whether `a` goes before `b`: by the tag policy if it orders them, else by when the registry said so. */
export function isLater(policy: TagPolicy, a: LanePosition, b: LanePosition): boolean {
  if (a.digest === b.digest) return false;
  // An operator who names a digest knows what its tag points to, so that is older than the order, unless it is asked for in its turn.
  if (b.instead === a.digest && !a.manual) return false;
  if (a.instead === b.digest && !b.manual) return true;
  const order = a.manual || b.manual ? 0 : compareCandidates(policy, a, b);
  return order === 0 ? a.sequence > b.sequence : order > 0;
}

/** A verified rollout asks for a stage's turn, and asks again when it was granted: much may have happened while it waited. */
export function request(lane: LaneState, asking: TurnRequest): Requested {
  if (asking.rollback !== undefined) return requestRollback(lane, asking, asking.rollback);
  const { rollout, stage: name, policy } = asking;
  const stage = stageOf(lane, name);
  const member = memberOf(lane, asking);
  const mine = member?.position;
  if (member === undefined || mine === undefined) return answered({ kind: 'unknown' });
  const isMine = stage.holder === rollout;
  if (isMine && stage.begun) return answered({ kind: 'granted', turn: stage.turn });
  const refusal = refusalOf(lane, member, asking, mine);
  if (refusal !== undefined) {
    if (refusal.kind === 'superseded') member.supersededBy = lane.members[refusal.by]?.position ?? stage.latest ?? mine;
    return answered(refusal, vacate(lane, rollout, name));
  }
  stage.latest = mine;
  // What was superseded here before it left and came again, is not any more.
  delete member.supersededIn?.[name];
  if (isMine) return answered({ kind: 'granted', turn: stage.turn });
  const superseded = supersede(lane, name, mine, (theirs) => isLater(policy, mine, theirs));
  if (!stage.waiters.includes(rollout)) stage.waiters.push(rollout);
  return takeOrWait(lane, name, rollout, superseded);
}

function answered(answer: TurnAnswer, grants: readonly Grant[] = []): Requested {
  return { answer, superseded: [], grants };
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
  const granted = answered({ kind: 'granted', turn: stage.turn });
  if (isMine && stage.begun) return granted;
  const earlier = known === undefined ? forget(lane, rollout) : [];
  const by = instead(lane, stage, digest);
  if (by !== undefined) return answered({ kind: 'unchanged', by }, [...earlier, ...forget(lane, rollout)]);
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

function takeOrWait(lane: LaneState, name: string, rollout: string, superseded: readonly string[]): Requested {
  const grants = grantNext(lane, name);
  const mine = grants.find((grant) => grant.rollout === rollout);
  if (mine !== undefined) return { answer: { kind: 'granted', turn: mine.turn }, superseded, grants: [] };
  return { answer: { kind: 'waiting', behind: stageOf(lane, name).holder ?? '' }, superseded, grants };
}

function refusalOf(
  lane: LaneState,
  member: LaneMember,
  { stage: name, policy }: TurnRequest,
  mine: LanePosition,
): TurnAnswer | undefined {
  const { rollout, digest, manual } = mine;
  // A rollout that a rollback superseded comes again when that has ended, with what its tag is by then.
  const rollback = member.supersededIn?.[name];
  if (rollback !== undefined && lane.members[rollback]?.rollback) return { kind: 'superseded', by: rollback };
  const quarantine = lane.quarantine[digest];
  if (quarantine !== undefined) return { kind: 'quarantined', reason: quarantine.reason };
  const { latest, current } = stageOf(lane, name);
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
    if (rollout === mine.rollout || member?.position === undefined || member.rollback || !goesAfter(member.position))
      return false;
    member.supersededBy = mine;
    member.supersededIn = { ...member.supersededIn, [name]: mine.rollout };
    return true;
  });
}

/** A rollout is done with a stage. `reached`: the stage has its image now. */
export function release(lane: LaneState, at: RolloutRun & { readonly stage: string; readonly reached: boolean }): Grant[] {
  const member = memberOf(lane, at);
  const stage = stageOf(lane, at.stage);
  if (stage.holder !== at.rollout || member?.position === undefined) return [];
  if (at.reached && !member.rollback) stage.current = member.position;
  return vacate(lane, at.rollout, at.stage);
}

/** Takes a rollout out of everything, as if it had never come: it has left, or it is dead. */
export function forget(lane: LaneState, rollout: string): Grant[] {
  delete lane.members[rollout];
  return Object.entries(lane.stages).flatMap(([name, stage]) => {
    // That it has asked counts no more, unless it got there.
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
  return grantNext(lane, stageName);
}

/** Gives a free turn to the first who waits for it. */
function grantNext(lane: LaneState, stageName: string): Grant[] {
  const stage = stageOf(lane, stageName);
  if (stage.holder !== undefined) return [];
  const rollout = stage.waiters.shift();
  if (rollout === undefined) return [];
  lane.clock += 1;
  stage.turn = lane.clock;
  stage.holder = rollout;
  return [{ rollout, stage: stageName, turn: stage.turn }];
}

/** Whether somebody waits for a turn that somebody else holds: only then does it matter whether the holder is alive. */
export function someoneWaits(lane: LaneState): boolean {
  return Object.values(lane.stages).some((stage) => stage.waiters.length > 0);
}
