import type { Digest } from '../image-reference.ts';
import { type Digests, digestOf, knownDigests } from './known-digests.ts';
import { quarantine, unquarantine } from './quarantine.ts';
import { DecisionRefused } from './refused.ts';
import type { Attribution, LaneState, StageLane } from './state.ts';
import { stageOf } from './state.ts';

/**
 * What operators say to a lane about what may go out. Each is asked first (`may…`, which changes nothing and throws `Refused`), then done;
 * doing answers which rollouts should look again.
 */

const longestStage = 100;

/** A lane knows its stages from the rollouts that entered; before the first one it believes what it is told. */
export function mayName(lane: LaneState, stage: string): void {
  const known = Object.keys(lane.stages);
  if (known.length === 0 && stage !== '' && stage.length <= longestStage) return;
  if (!Object.hasOwn(lane.stages, stage)) {
    throw new DecisionRefused(
      `no stage '${stage.slice(0, longestStage)}' is known here: expected one of ${known.join(', ') || 'at most 100 letters'}`,
    );
  }
}

export function mayHold(lane: LaneState, stage: string | undefined): void {
  if (stage !== undefined) mayName(lane, stage);
}

export function hold(lane: LaneState, stage: string | undefined, word: Attribution): void {
  if (stage === undefined) lane.hold = word;
  else stageOf(lane, stage).hold = word;
}

export function mayRelease(lane: LaneState, name: string | undefined): void {
  if (name === undefined) {
    const held = Object.values(lane.stages).some(isStopped);
    if (lane.hold === undefined && !held)
      throw new DecisionRefused('nothing to release: neither the service nor a stage is held or pinned');
    return;
  }
  mayName(lane, name);
  if (isStopped(lane.stages[name])) return;
  const instead = lane.hold === undefined ? '' : ', but the whole service is held: release it without naming a stage';
  throw new DecisionRefused(`nothing to release: ${name} is neither held nor pinned${instead}`);
}

function isStopped(stage: StageLane | undefined): boolean {
  return stage?.hold !== undefined || stage?.pin !== undefined;
}

/** Releases hold and pin of one stage, or of all of them and the service. */
export function releaseHold(lane: LaneState, name: string | undefined): string[] {
  const names = name === undefined ? Object.keys(lane.stages) : [name];
  if (name === undefined) delete lane.hold;
  for (const stage of names.map((one) => stageOf(lane, one))) {
    delete stage.hold;
    delete stage.pin;
  }
  return inStages(lane, names);
}

/** @returns the digest that is meant */
export function mayPin(lane: LaneState, stage: string, typed: string): Digest {
  mayName(lane, stage);
  const digest = digestOf(typed, knownDigests(lane), 'anything');
  const quarantined = lane.quarantine[digest];
  if (quarantined === undefined) return digest;
  throw new DecisionRefused(
    `${digest} is in quarantine since ${quarantined.at} (${quarantined.reason}), so that nothing at all could enter ${stage}: unquarantine it first`,
  );
}

export function pin(lane: LaneState, stage: string, digest: Digest, word: Attribution): string[] {
  stageOf(lane, stage).pin = { ...word, digest };
  return inStages(lane, [stage]);
}

export function mayQuarantine(lane: LaneState, typed: string): Digest {
  const digest = digestOf(typed, knownDigests(lane), 'anything');
  const known = lane.quarantine[digest];
  if (known !== undefined) throw new DecisionRefused(`${digest} is in quarantine already, since ${known.at}: ${known.reason}`);
  return digest;
}

export function putInQuarantine(lane: LaneState, digest: Digest, { by, reason, at }: Attribution): string[] {
  quarantine(lane, [digest], { reason: reason ?? `quarantined by ${by}`, by, at });
  return membersOf(lane, [digest]);
}

export function mayUnquarantine(lane: LaneState, typed: string): Digest {
  const quarantined: Digests = new Map(Object.keys(lane.quarantine).map((digest) => [digest as Digest, 'in quarantine']));
  return digestOf(typed, quarantined, 'known');
}

export function freeFromQuarantine(lane: LaneState, digest: Digest): string[] {
  unquarantine(lane, digest);
  return membersOf(lane, [digest]);
}

/** Who holds the turns of these stages, or waits for them. */
function inStages(lane: LaneState, names: readonly string[]): string[] {
  const there = names.flatMap((name) => {
    const { holder, waiters } = stageOf(lane, name);
    return holder === undefined ? waiters : [holder, ...waiters];
  });
  return [...new Set(there)];
}

/** The rollouts of these digests. */
export function membersOf(lane: LaneState, digests: readonly Digest[]): string[] {
  return Object.entries(lane.members).flatMap(([rollout, { digest, position }]) =>
    digests.includes(digest) || (position !== undefined && digests.includes(position.digest)) ? [rollout] : [],
  );
}
