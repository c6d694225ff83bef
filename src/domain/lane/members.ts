import type { Digest } from '../image-reference.ts';
import type { End } from '../rollout-state.ts';
import type { TagPolicy } from '../tag-policy.ts';
import { budgets, bytesOf, keepNewest, longestReason, quarantine } from './bounds.ts';
import {
  type LaneMember,
  type LanePosition,
  type LaneState,
  memberOf,
  type RolloutRun,
  type RolloutVerdict,
  stageOf,
} from './state.ts';
import { forget, type Grant, isLater } from './turns.ts';

/** Who enters a lane, what is remembered of those who left, and what never enters again. All of it is answered alike when repeated. */

export interface LaneEntry extends RolloutRun, Pick<LanePosition, 'tag' | 'digest' | 'manual'> {
  readonly stages: readonly string[];
}

export type EntryAnswer =
  /** `newest`: what the tag was when it was verified last; `supersededBy`: a rollout that goes first wherever this one asks for its turn. */
  | { readonly kind: 'admitted'; readonly newest?: Digest; readonly supersededBy?: string }
  | { readonly kind: 'unchanged' | 'quarantined'; readonly reason: string };

export interface LaneExit extends RolloutRun {
  readonly end: End;
  readonly reason?: string;
  /** An operator rejected the digest: it is quarantined. */
  readonly quarantinedBy?: string;
  readonly at: string;
}

const mostVerdicts = 500;
const reached: readonly End[] = ['proposed', 'delivered', 'unchanged'];

/** A rollout asks whether there is anything to do. @returns the answer, and the turns that an earlier run of it had left behind when it died */
export function enter(lane: LaneState, entry: LaneEntry): { answer: EntryAnswer; grants: Grant[] } {
  const refusal = refusalOf(lane, entry, entry.digest);
  if (refusal !== undefined) return { answer: refusal, grants: [] };
  const { rollout, runId, tag, digest, manual } = entry;
  const newest = Object.hasOwn(lane.newest, tag) ? lane.newest[tag] : undefined;
  const answer: EntryAnswer = { kind: 'admitted', ...(newest !== undefined && { newest }) };
  if (memberOf(lane, entry) !== undefined) return { answer, grants: [] };
  const grants = forget(lane, rollout);
  lane.members[rollout] = { runId, tag, digest, manual };
  // Operators name stages, which are known from here.
  for (const stage of entry.stages) stageOf(lane, stage);
  fitMembers(lane);
  return { answer, grants };
}

/** A digest that was pushed may be a child of the index that the tag points to, so this is asked of both. */
function refusalOf(lane: LaneState, { tag, manual, stages }: Omit<LaneEntry, 'digest'>, digest: Digest): EntryAnswer | undefined {
  const quarantine = lane.quarantine[digest];
  if (quarantine !== undefined) return { kind: 'quarantined', reason: quarantine.reason };
  if (manual) return undefined;
  const verdict = lane.verdicts[`${tag}@${digest}`];
  if (verdict !== undefined && !verdict.passing && lane.newest[tag] === verdict.digest) {
    const why = verdict.reason === undefined ? '' : ` (${verdict.reason})`;
    return { kind: 'unchanged', reason: `this image already ended ${verdict.end} at ${verdict.at}${why}` };
  }
  const currents = stages.map((stage) => lane.stages[stage]?.current);
  const [other] = currents;
  if (other === undefined || other.tag === tag || !currents.every((current) => current?.digest === digest)) return undefined;
  return { kind: 'unchanged', reason: `the same digest went out under the tag ${other.tag} (${other.rollout})` };
}

/** A promotion says nothing about its tag, and nothing against other checks. */
export interface VerifiedReport extends RolloutRun, Pick<LanePosition, 'tag' | 'digest' | 'created' | 'promotion' | 'instead'> {
  readonly policy: TagPolicy;
  readonly stages: readonly string[];
}

/**
 * The registry says that this rollout's image is what its tag is now, or that it has the digest that an operator named.
 * @returns whether it may go on, and the rollouts that it supersedes as soon as they need a person in their checks
 */
export function verified(lane: LaneState, at: VerifiedReport): { answer: EntryAnswer; superseded: string[] } {
  const member = memberOf(lane, at);
  const { rollout, tag, digest, created, policy, promotion = false, instead } = at;
  if (member === undefined) return { answer: { kind: 'admitted' }, superseded: [] };
  const refusal = digest === member.digest ? undefined : refusalOf(lane, { ...at, manual: member.manual }, digest);
  if (refusal !== undefined) return { answer: refusal, superseded: [] };
  if (member.position === undefined) {
    lane.clock += 1;
    if (!promotion) {
      // Anew, because the keys' order says what was verified longest ago.
      delete lane.newest[tag];
      lane.newest[tag] = instead ?? digest;
    }
    const verified = { rollout, tag, digest, sequence: lane.clock, manual: member.manual };
    member.position = { ...verified, ...(created && { created }), ...(promotion && { promotion }), ...(instead && { instead }) };
  }
  if (promotion) return { answer: { kind: 'admitted' }, superseded: [] };
  const mine = member.position;
  const older = Object.entries(lane.members).filter(([other, { position, tag, digest, manual, rollback }]) => {
    // A rollout that is not verified yet stands before every verified one, as far as time decides.
    const theirs = position ?? { rollout: other, tag, digest, manual, sequence: 0 };
    const hasBegun = Object.values(lane.stages).some(({ holder, begun }) => begun && holder === other);
    return other !== rollout && !rollback && !hasBegun && isLater(policy, mine, theirs);
  });
  for (const [, theirs] of older) theirs.supersededBy = mine;
  const superseded = older.map(([other]) => other);
  const first = goesFirst(lane, at, mine);
  if (first === undefined) return { answer: { kind: 'admitted' }, superseded };
  member.supersededBy = first;
  return { answer: { kind: 'admitted', supersededBy: first.rollout }, superseded };
}

/** Pushes come in any order: a later image that is verified already, or has asked for the turn of every stage. */
function goesFirst(lane: LaneState, { rollout, policy, stages }: VerifiedReport, mine: LanePosition): LanePosition | undefined {
  const isBefore = (theirs: LanePosition | undefined): theirs is LanePosition =>
    theirs !== undefined && theirs.rollout !== rollout && isLater(policy, theirs, mine);
  const members = Object.values(lane.members).filter(({ rollback, position }) => !rollback && !position?.promotion);
  const member = members.map(({ position }) => position).find(isBefore);
  if (member !== undefined) return member;
  const latest = stages.map((stage) => lane.stages[stage]?.latest);
  return latest.every(isBefore) ? latest[0] : undefined;
}

/** A rollout has ended: its verdict is kept, and what it held goes to the next. */
export function leave(lane: LaneState, leaving: LaneExit): Grant[] {
  const member = memberOf(lane, leaving);
  if (member === undefined) return [];
  const { rollout, end, at, quarantinedBy } = leaving;
  const { tag, digest, position, supersededBy } = member;
  const reason = leaving.reason?.slice(0, longestReason);
  const isSuperseded = end === 'superseded';
  const by = isSuperseded && isNamedInstead(supersededBy, member) ? supersededBy?.rollout : undefined;
  const about = { digest: position?.digest ?? digest, end, at, passing: isSuperseded && isPassing(member) };
  const verdict: RolloutVerdict = { ...about, ...(reason !== undefined && { reason }), ...(by !== undefined && { by }) };
  if (reached.includes(end) && position !== undefined && !member.rollback) {
    for (const stage of Object.values(lane.stages)) if (stage.holder === rollout) stage.current = position;
  }
  const grants = forget(lane, rollout);
  const digests = [...new Set([digest, verdict.digest])];
  // That an operator's rollback came to nothing says nothing about the image.
  if (!member.rollback || end === 'rolled-back') {
    const keys = digests.map((known) => `${tag}@${known}`);
    remember(lane, keys, verdict);
  }
  if (position?.instead !== undefined) passOver(lane, position, position.instead, leaving);
  if (quarantinedBy !== undefined) {
    quarantine(lane, digests, { reason: reason ?? 'rejected by an operator', by: quarantinedBy.slice(0, longestReason), at });
  }
  return grants;
}

/** What was superseded comes again by itself, unless an operator or the order of tags has preferred another image to it. */
function isPassing(member: LaneMember): boolean {
  const { tag, supersededBy: by } = member;
  if (by === undefined || by.rollback) return true;
  return by.tag === tag && !by.promotion && !isNamedInstead(by, member);
}

function isNamedInstead(by: LanePosition | undefined, { tag, digest, position }: LaneMember): boolean {
  return by !== undefined && by.tag === tag && by.instead === (position?.digest ?? digest);
}

/**
 * Once the digest that an operator named has gone out, what its tag pointed to then is settled, so that no redelivery and no search replaces
 * it. If it did not go out, the rollouts that were superseded by it come again.
 */
function passOver(lane: LaneState, { rollout, tag, digest }: LanePosition, instead: Digest, { end, at }: LaneExit): void {
  if (!reached.includes(end)) {
    for (const [key, verdict] of Object.entries(lane.verdicts))
      if (verdict.by === rollout) lane.verdicts[key] = { ...verdict, passing: true };
    return;
  }
  const key = `${tag}@${instead}`;
  if (lane.verdicts[key]?.passing === false) return;
  const reason = `an operator named ${digest} in its place`;
  remember(lane, [key], { digest: instead, end: 'superseded', at, passing: false, reason, by: rollout });
}

/** A member that is forgotten learns it when it asks for something, and enters again; the holder of a turn is never forgotten. */
function fitMembers(lane: LaneState): void {
  let excess = bytesOf(lane.members) - budgets.members;
  const inStages = new Set(Object.values(lane.stages).flatMap(({ holder, waiters }) => [holder, ...waiters]));
  for (const rollout of Object.keys(lane.members)) {
    if (excess <= 0) return;
    if (inStages.has(rollout)) continue;
    excess -= bytesOf({ [rollout]: lane.members[rollout] });
    forget(lane, rollout);
  }
}

function remember(lane: LaneState, keys: readonly string[], verdict: RolloutVerdict): void {
  for (const key of keys) {
    delete lane.verdicts[key];
    lane.verdicts[key] = verdict;
  }
  keepNewest(lane.verdicts, mostVerdicts, budgets.verdicts);
  const verdictTags = Object.keys(lane.verdicts).map((key) => key.slice(0, key.indexOf('@')));
  const tags = new Set<string>([...verdictTags, ...Object.values(lane.members).map(({ tag }) => tag)]);
  for (const tag of Object.keys(lane.newest)) if (!tags.has(tag)) delete lane.newest[tag];
  keepNewest(lane.newest, Number.POSITIVE_INFINITY, budgets.newest);
}
