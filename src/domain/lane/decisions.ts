import { type Digest, formatReference, isDigest } from '../image-reference.ts';
import type { ImageIdentity } from '../outcomes.ts';
import type { Attribution } from '../person.ts';
import type { Plan } from '../plan.ts';
import { quarantine } from './bounds.ts';
import { type LaneState, type Running, stageOf } from './state.ts';

/**
 * What operators say to a lane. Each is asked first (`may…`, which changes nothing and throws `DecisionRefused`), then done; doing answers
 * which rollouts should look again.
 */

/** A decision that does not apply. The message says what was found, and what to do. */
export class DecisionRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Refused';
  }
}

/** By digest: what a person would recognise it by. */
type Digests = ReadonlyMap<Digest, string>;

const shortDigest = /^(?:sha256:)?([0-9a-f]{7,63})$/;
const mostListed = 10;
const longestStage = 100;

/** A lane knows its stages from the rollouts that entered; before the first one it believes what it is told. Absent: all of them. */
export function mayName(lane: LaneState, stage: string | undefined): void {
  if (stage === undefined) return;
  const known = Object.keys(lane.stages);
  if (known.length === 0 && stage !== '' && stage.length <= longestStage) return;
  if (Object.hasOwn(lane.stages, stage)) return;
  throw new DecisionRefused(
    `no stage '${stage.slice(0, longestStage)}' is known here: expected one of ${known.join(', ') || 'at most 100 letters'}`,
  );
}

export function hold(lane: LaneState, stage: string | undefined, author: Attribution): void {
  if (stage === undefined) lane.hold = author;
  else stageOf(lane, stage).hold = author;
}

export function mayRelease(lane: LaneState, name: string | undefined): void {
  mayName(lane, name);
  const stages = name === undefined ? Object.values(lane.stages) : [lane.stages[name]];
  if (stages.some((stage) => stage?.hold !== undefined || stage?.pin !== undefined)) return;
  if (name !== undefined) {
    const instead = lane.hold === undefined ? '' : ', but the whole service is held: release it without naming a stage';
    throw new DecisionRefused(`nothing to release: ${name} is neither held nor pinned${instead}`);
  }
  if (lane.hold === undefined) throw new DecisionRefused('nothing to release: neither the service nor a stage is held or pinned');
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
  refuseQuarantined(lane, digest, `, so that nothing at all could enter ${stage}`);
  return digest;
}

function refuseQuarantined(lane: LaneState, digest: Digest, consequence = ''): void {
  const found = lane.quarantine[digest];
  if (found === undefined) return;
  throw new DecisionRefused(
    `${digest} is in quarantine since ${found.at} (${found.reason})${consequence}: unquarantine it first`,
  );
}

export function pin(lane: LaneState, stage: string, digest: Digest, author: Attribution): string[] {
  stageOf(lane, stage).pin = { ...author, digest };
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
  return digestOf(typed, quarantinedDigests(lane), 'known');
}

/** The digest, its index, and what else was pushed of that index go out again; that they ended badly once is forgotten. */
export function freeFromQuarantine(lane: LaneState, digest: Digest): string[] {
  const index = lane.quarantine[digest]?.of ?? digest;
  const freed = Object.entries(lane.quarantine).flatMap(([known, { of }]) => (known === index || of === index ? [known] : []));
  for (const known of freed) delete lane.quarantine[known];
  for (const [key, { end, digest: verdictOf }] of Object.entries(lane.verdicts)) {
    if ((end === 'rejected' || end === 'rolled-back') && freed.includes(verdictOf)) delete lane.verdicts[key];
  }
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

/**
 * @param seen the digest that whoever decides has found there
 * @returns what would be rolled back @throws DecisionRefused if nothing is known that could be, or it is not what was seen
 */
export function mayRollBack(lane: LaneState, name: string, seen?: string): Running {
  mayName(lane, name);
  const { running, holder, waiters = [] } = lane.stages[name] ?? {};
  if (running === undefined) {
    throw new DecisionRefused(`Landfall knows nothing that it brought to ${name}, so there is nothing that it could roll back`);
  }
  const under = [holder, ...waiters].find((rollout) => rollout !== undefined && lane.members[rollout]?.rollback);
  if (under !== undefined) throw new DecisionRefused(`${name} is being rolled back already, by ${under}`);
  if (!isSomethingBefore(running)) {
    throw new DecisionRefused(
      `${running.digest} is the first that Landfall brought to ${name}: it knows of nothing before it. Push or promote what should run`,
    );
  }
  if (seen !== undefined && seen !== running.digest) {
    throw new DecisionRefused(
      `${name} runs something else by now, ${running.digest}: look again at what it would be rolled back to`,
    );
  }
  const { position: _, ...rest } = running;
  return rest;
}

/** What something else deploys is put back by the repository alone. */
function isSomethingBefore({ before, proposal, plan }: Running): boolean {
  if (before.running.length > 0 || before.image !== undefined) return true;
  const isLocal = plan.stages.some(({ deploy }) => deploy?.host !== undefined);
  return !isLocal && (proposal?.before ?? []).length > 0;
}

/** What an operator is told before it happens. References are as they will run. */
export interface RollbackTerms {
  readonly from: string;
  readonly to: string;
  /** The rollout that changes the stage now, and is waited for. */
  readonly behind?: string;
  /** The pin of what is rolled back ends. */
  readonly unpins?: true;
}

export function rollbackTerms(lane: LaneState, name: string, { before, proposal, ...running }: Running): RollbackTerms {
  const { holder, begun, pin } = stageOf(lane, name);
  const image = before.image === undefined ? [] : [formatReference(before.image)];
  const ran = before.running.length > 0 ? before.running.map(({ reference }) => reference) : image;
  const references = ran.length > 0 ? ran : (proposal?.before ?? []);
  return {
    from: formatReference(running),
    to: [...new Set(references)].slice(0, 5).join(', ').slice(0, 1_000),
    ...(holder !== undefined && begun && { behind: holder }),
    ...(pin?.digest === running.digest && { unpins: true }),
  };
}

/** @returns the number of this rollback of the stage, from 1 */
export function countRollback(lane: LaneState, name: string): number {
  const stage = stageOf(lane, name);
  stage.rollbacks = (stage.rollbacks ?? 0) + 1;
  return stage.rollbacks;
}

/** @returns the image, and the plan by which the stage was served last, of this stage alone @throws DecisionRefused */
export function mayPromote(lane: LaneState, name: string, typed: string): { image: ImageIdentity; plan: Plan } {
  mayName(lane, name);
  const digest = digestOf(typed, deliveredDigests(lane), 'known');
  refuseQuarantined(lane, digest);
  const { running, lastPlan } = lane.stages[name] ?? {};
  const plan = running?.plan ?? lastPlan;
  if (plan === undefined) {
    throw new DecisionRefused(`nothing has gone to ${name} yet, so nobody knows how: let a push go there first, or trigger one`);
  }
  if (running?.digest === digest) throw new DecisionRefused(`${name} runs ${digest} already`);
  const image = imageOf(lane, digest);
  if (image === undefined) throw new DecisionRefused(`${digest} is not known any more: trigger its tag instead`);
  return { image, plan };
}

function imageOf(lane: LaneState, digest: Digest): ImageIdentity | undefined {
  const ran = Object.values(lane.stages).flatMap(({ running, earlier = [] }): ImageIdentity[] =>
    running === undefined ? earlier : [running, ...earlier],
  );
  return [...ran, ...Object.values(lane.delivered).flat()].find((one) => one.digest === digest);
}

/** Digests that somebody may mean: what runs and ran, what is under way, what is in quarantine. */
export function knownDigests(lane: LaneState): Digests {
  const known = new Map(quarantinedDigests(lane));
  for (const { tag, digest, position } of Object.values(lane.members)) known.set(position?.digest ?? digest, `${tag}, under way`);
  for (const [digest, text] of deliveredDigests(lane)) known.set(digest, text);
  return known;
}

function quarantinedDigests(lane: LaneState): Digests {
  return new Map(Object.keys(lane.quarantine).map((digest) => [digest as Digest, 'in quarantine']));
}

/** Digests that a stage runs or ran by Landfall's doing, newest first: also those that were rolled back. */
function deliveredDigests(lane: LaneState): Digests {
  const known = new Map<Digest, string>();
  const stages = Object.entries(lane.stages);
  for (const [name, { running }] of stages)
    if (running !== undefined) known.set(running.digest, `${running.tag}, runs in ${name}`);
  const addOthers = (images: readonly ImageIdentity[], where: string) => {
    for (const { digest, tag } of images) if (!known.has(digest)) known.set(digest, `${tag}, ${where}`);
  };
  for (const [name, { earlier = [] }] of stages) addOthers(earlier, `ran in ${name}`);
  for (const [name, delivered] of Object.entries(lane.delivered)) addOthers(delivered, `went to ${name}`);
  return known;
}

/**
 * The digest that a person means: written out, or its first 7 or more hex digits if only one known digest begins so.
 * @param which `anything`: one that is written out need not be known
 * @throws DecisionRefused
 */
export function digestOf(typed: string, known: Digests, which: 'anything' | 'known'): Digest {
  const text = typed.trim();
  if (isDigest(text) && (which === 'anything' || known.has(text))) return text;
  const begin = shortDigest.exec(text)?.[1];
  const meant = begin === undefined ? [] : [...known.keys()].filter((digest) => digest.startsWith(`sha256:${begin}`));
  const [digest] = meant;
  if (digest !== undefined && meant.length === 1) return digest;
  const found = `'${text.slice(0, 80)}'`;
  if (meant.length > 1)
    throw new DecisionRefused(`${found} is the beginning of several digests: write one of them out. ${list(known, meant)}`);
  const expected =
    which === 'anything'
      ? 'sha256: and 64 hex digits, or the first 7 or more of one of these'
      : 'one of these, or its first 7 or more hex digits';
  throw new DecisionRefused(`${found} is no digest that is known here: expected ${expected}. ${list(known, [...known.keys()])}`);
}

function list(known: Digests, digests: readonly Digest[]): string {
  if (digests.length === 0) return 'None is known yet';
  const listed = digests.slice(0, mostListed).map((digest) => `${digest} (${known.get(digest)})`);
  const more = digests.length > mostListed ? ` and ${digests.length - mostListed} more` : '';
  return `Known: ${listed.join(', ')}${more}`;
}
