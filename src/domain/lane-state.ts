import type { Digest, Tag } from './image-reference.ts';
import type { End } from './rollout-state.ts';
import { compareCandidates, type TagPolicy } from './tag-policy.ts';

/**
 * The memory of one service, and the rules of who goes before whom. Plain JSON, because it is handed from run to run of the lane's
 * workflow. The functions change the state that they are given and answer at once; times are ISO 8601, UTC.
 */
export interface LaneState {
  /** Rises with every verified image and every turn, so that "later" is a comparison of numbers. */
  clock: number;
  /** By tag: the digest that was verified last. */
  newest: Record<string, Digest>;
  /** By `tag@digest`: how its last rollout ended. */
  verdicts: Record<string, Verdict>;
  quarantine: Record<string, Quarantine>;
  /** By rollout id: the rollouts that have entered and not left. */
  members: Record<string, Member>;
  stages: Record<string, StageLane>;
}

export interface Verdict {
  /** What the tag pointed to: the index, where a child of it was pushed. */
  readonly digest: Digest;
  readonly end: End;
  readonly reason?: string;
  readonly at: string;
  /** The same image is taken up again when it comes back: it was only superseded by another image of its own tag. */
  readonly passing: boolean;
}

export interface Quarantine {
  readonly reason: string;
  readonly by?: string;
  readonly at: string;
}

/** One image's place in the order of its service. */
export interface Standing {
  readonly rollout: string;
  readonly tag: Tag;
  readonly digest: Digest;
  /** When the registry said so, on the lane's clock. */
  readonly sequence: number;
  readonly created?: string;
  /** An operator asked for it: what was asked last goes first. */
  readonly asked: boolean;
}

export interface Member {
  readonly runId: string;
  readonly tag: Tag;
  readonly digest: Digest;
  readonly asked: boolean;
  standing?: Standing;
  /** The tag of the image that superseded it. */
  supersededBy?: Standing;
}

export interface StageLane {
  /** The turn that was given last. */
  turn: number;
  holder?: string;
  /** Rollout ids, first come first served. */
  waiters: string[];
  /** The latest that asked for this stage. */
  asked?: Standing;
  /** What this stage was given last. */
  current?: Standing;
}

export interface Entry {
  readonly rollout: string;
  readonly runId: string;
  readonly tag: Tag;
  readonly digest: Digest;
  readonly asked: boolean;
  readonly stages: readonly string[];
}

export type EntryAnswer =
  | { readonly kind: 'admitted' }
  | { readonly kind: 'unchanged'; readonly reason: string }
  | { readonly kind: 'quarantined'; readonly reason: string };

export type TurnAnswer =
  | { readonly kind: 'granted'; readonly turn: number }
  | { readonly kind: 'waiting'; readonly behind: string }
  | { readonly kind: 'superseded'; readonly by: string }
  | { readonly kind: 'unchanged'; readonly by: string };

export interface Leave {
  readonly rollout: string;
  readonly runId: string;
  readonly end: End;
  readonly reason?: string;
  /** An operator rejected the digest: it is quarantined. */
  readonly quarantinedBy?: string;
  readonly at: string;
}

/** How many verdicts a lane remembers; the oldest are forgotten first. */
const rememberedVerdicts = 500;
const reached: readonly End[] = ['proposed', 'delivered', 'unchanged'];

export function emptyLane(): LaneState {
  return { clock: 0, newest: {}, verdicts: {}, quarantine: {}, members: {}, stages: {} };
}

/**
 * A rollout asks whether there is anything to do. Asking twice is answered alike.
 * @returns the answer, and the turns that an earlier run of it had left behind when it died
 */
export function enter(lane: LaneState, entry: Entry): { answer: EntryAnswer; grants: Grant[] } {
  const quarantine = lane.quarantine[entry.digest];
  if (quarantine !== undefined) return { answer: { kind: 'quarantined', reason: quarantine.reason }, grants: [] };
  const reason = entry.asked ? undefined : reasonToSkip(lane, entry);
  if (reason !== undefined) return { answer: { kind: 'unchanged', reason }, grants: [] };
  const { rollout, runId, tag, digest, asked } = entry;
  if (lane.members[rollout]?.runId === runId) return { answer: { kind: 'admitted' }, grants: [] };
  const grants = forget(lane, rollout);
  lane.members[rollout] = { runId, tag, digest, asked };
  return { answer: { kind: 'admitted' }, grants };
}

function reasonToSkip(lane: LaneState, { tag, digest, stages }: Entry): string | undefined {
  const verdict = lane.verdicts[`${tag}@${digest}`];
  if (verdict !== undefined && !verdict.passing && lane.newest[tag] === verdict.digest) {
    return `this image already ended ${verdict.end} at ${verdict.at}${verdict.reason === undefined ? '' : ` (${verdict.reason})`}`;
  }
  const currents = stages.map((stage) => lane.stages[stage]?.current);
  const other = currents[0];
  if (other !== undefined && other.tag !== tag && currents.every((current) => current?.digest === digest)) {
    return `the same digest went out under the tag ${other.tag} (${other.rollout})`;
  }
  return undefined;
}

/**
 * The registry says that this rollout's image is what its tag is now.
 * @returns the rollouts that this one supersedes as soon as they need a person in their checks
 */
export function verified(
  lane: LaneState,
  policy: TagPolicy,
  at: { rollout: string; runId: string; tag: Tag; digest: Digest; created?: string },
): string[] {
  const member = lane.members[at.rollout];
  if (member === undefined || member.runId !== at.runId) return [];
  if (member.standing === undefined) {
    lane.clock += 1;
    lane.newest[at.tag] = at.digest;
    const { rollout, tag, digest, created } = at;
    member.standing = { rollout, tag, digest, sequence: lane.clock, asked: member.asked, ...(created && { created }) };
  }
  const mine = member.standing;
  return Object.keys(lane.members).filter((rollout) => {
    const older = lane.members[rollout];
    if (rollout === at.rollout || older === undefined) return false;
    const theirs = older.standing ?? unverifiedStanding(rollout, older);
    if (!isLater(policy, mine, theirs)) return false;
    older.supersededBy = mine;
    return true;
  });
}

/** A rollout that is not verified yet stands before every verified one, as far as time decides. */
function unverifiedStanding(rollout: string, { tag, digest, asked }: Member): Standing {
  return { rollout, tag, digest, asked, sequence: 0 };
}

/** Whether `a` goes before `b`: by the tag policy where it orders them, else by when the registry said so. */
export function isLater(policy: TagPolicy, a: Standing, b: Standing): boolean {
  if (a.digest === b.digest) return false;
  const order = a.asked || b.asked ? 0 : compareCandidates(policy, a, b);
  return order === 0 ? a.sequence > b.sequence : order > 0;
}

/**
 * A verified rollout asks for a stage's turn.
 * @returns the answer, and the rollouts of this stage that it supersedes wherever they wait for something
 */
export function request(
  lane: LaneState,
  policy: TagPolicy,
  at: { rollout: string; runId: string; stage: string },
): { answer: TurnAnswer; superseded: string[] } {
  const stage = stageOf(lane, at.stage);
  const mine = lane.members[at.rollout]?.standing;
  if (mine === undefined) return { answer: { kind: 'superseded', by: 'a later run of this rollout' }, superseded: [] };
  if (stage.holder === at.rollout) return { answer: { kind: 'granted', turn: stage.turn }, superseded: [] };
  const later = stage.asked;
  if (later !== undefined && later.rollout !== at.rollout && isLater(policy, later, mine)) {
    return { answer: supersededAnswer(lane, at.rollout, later), superseded: [] };
  }
  if (isCurrent(stage, mine)) return { answer: { kind: 'unchanged', by: stage.current?.rollout ?? '' }, superseded: [] };
  stage.asked = mine;
  const superseded = [...stage.waiters, ...(stage.holder === undefined ? [] : [stage.holder])].filter((rollout) => {
    const theirs = lane.members[rollout]?.standing;
    return rollout !== at.rollout && theirs !== undefined && isLater(policy, mine, theirs);
  });
  for (const rollout of superseded) {
    const member = lane.members[rollout];
    if (member !== undefined) member.supersededBy = mine;
  }
  if (!stage.waiters.includes(at.rollout)) stage.waiters.push(at.rollout);
  const granted = grantNext(lane, at.stage);
  const answer: TurnAnswer =
    granted?.rollout === at.rollout ? { kind: 'granted', turn: stage.turn } : { kind: 'waiting', behind: stage.holder ?? '' };
  return { answer, superseded };
}

function supersededAnswer(lane: LaneState, rollout: string, by: Standing): TurnAnswer {
  const member = lane.members[rollout];
  if (member !== undefined) member.supersededBy = by;
  return { kind: 'superseded', by: by.rollout };
}

function isCurrent(stage: StageLane, standing: Standing): boolean {
  return !standing.asked && stage.current?.digest === standing.digest && stage.current.rollout !== standing.rollout;
}

export interface Grant {
  readonly rollout: string;
  readonly stage: string;
  readonly turn: number;
}

/** Gives a free turn to the first who waits for it. */
export function grantNext(lane: LaneState, stageName: string): Grant | undefined {
  const stage = stageOf(lane, stageName);
  if (stage.holder !== undefined) return undefined;
  const rollout = stage.waiters.shift();
  if (rollout === undefined) return undefined;
  lane.clock += 1;
  stage.turn = lane.clock;
  stage.holder = rollout;
  return { rollout, stage: stageName, turn: stage.turn };
}

/** A rollout is done with a stage. `reached`: the stage has its image now. */
export function release(lane: LaneState, at: { rollout: string; runId: string; stage: string; reached: boolean }): Grant[] {
  const member = lane.members[at.rollout];
  const stage = stageOf(lane, at.stage);
  if (member === undefined || member.runId !== at.runId) return [];
  if (at.reached && member.standing !== undefined) stage.current = member.standing;
  return vacate(lane, at.rollout, at.stage);
}

/** A rollout has ended: its verdict is kept, and what it held goes to the next. */
export function leave(lane: LaneState, leaving: Leave): Grant[] {
  const member = lane.members[leaving.rollout];
  if (member === undefined || member.runId !== leaving.runId) return [];
  const { tag, digest, standing, supersededBy } = member;
  const passing = leaving.end === 'superseded' && (supersededBy === undefined || supersededBy.tag === tag);
  const { end, at, reason } = leaving;
  const verdict: Verdict = { digest: standing?.digest ?? digest, end, at, passing, ...(reason !== undefined && { reason }) };
  for (const known of new Set([digest, verdict.digest])) remember(lane, `${tag}@${known}`, verdict);
  if (leaving.quarantinedBy !== undefined) {
    const quarantine = { reason: reason ?? 'rejected by an operator', by: leaving.quarantinedBy, at };
    for (const known of [digest, verdict.digest]) lane.quarantine[known] = quarantine;
  }
  for (const stage of Object.values(lane.stages)) {
    if (stage.holder === leaving.rollout && reached.includes(leaving.end) && standing !== undefined) stage.current = standing;
  }
  return forget(lane, leaving.rollout);
}

/** Takes a rollout out of every stage, as if it had never come: it has left, or it is dead. */
export function forget(lane: LaneState, rollout: string): Grant[] {
  delete lane.members[rollout];
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

/** Whether somebody waits for a turn that somebody else holds: only then does it matter whether the holder is alive. */
export function someoneWaits(lane: LaneState): boolean {
  return Object.values(lane.stages).some((stage) => stage.waiters.length > 0);
}

function stageOf(lane: LaneState, name: string): StageLane {
  const known = Object.hasOwn(lane.stages, name) ? lane.stages[name] : undefined;
  if (known !== undefined) return known;
  const stage: StageLane = { turn: 0, waiters: [] };
  lane.stages[name] = stage;
  return stage;
}

function remember(lane: LaneState, key: string, verdict: Verdict): void {
  delete lane.verdicts[key];
  lane.verdicts[key] = verdict;
  const keys = Object.keys(lane.verdicts);
  for (const old of keys.slice(0, Math.max(0, keys.length - rememberedVerdicts))) delete lane.verdicts[old];
}
