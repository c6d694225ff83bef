import { type Digest, isDigest } from '../image-reference.ts';
import { DecisionRefused } from './refused.ts';
import type { LaneState } from './state.ts';

/** By digest: what a person would recognise it by. */
export type Digests = ReadonlyMap<Digest, string>;

const shortDigest = /^(?:sha256:)?([0-9a-f]{7,63})$/;
const mostListed = 10;

/** Digests that somebody may mean: what runs and ran, what is under way, what is in quarantine. */
export function knownDigests(lane: LaneState): Digests {
  const known = new Map<Digest, string>(Object.keys(lane.quarantine).map((digest) => [digest as Digest, 'in quarantine']));
  for (const { tag, digest, position } of Object.values(lane.members)) known.set(position?.digest ?? digest, `${tag}, under way`);
  for (const [digest, text] of deliveredDigests(lane)) known.set(digest, text);
  return known;
}

/** Digests that a stage runs or ran by Landfall's doing, newest first: also those that were rolled back. */
export function deliveredDigests(lane: LaneState): Digests {
  const known = new Map<Digest, string>();
  const stages = Object.entries(lane.stages);
  for (const [name, { running }] of stages)
    if (running !== undefined) known.set(running.digest, `${running.tag}, runs in ${name}`);
  for (const [name, { earlier = [] }] of stages) {
    for (const { digest, tag } of earlier) if (!known.has(digest)) known.set(digest, `${tag}, ran in ${name}`);
  }
  for (const [name, delivered] of Object.entries(lane.delivered)) {
    for (const { digest, tag } of delivered) if (!known.has(digest)) known.set(digest, `${tag}, went to ${name}`);
  }
  return known;
}

/**
 * The digest that a person means: written out, or its first 7 or more hex digits where only one known digest begins so.
 * @param which `anything`: one that is written out need not be known
 * @throws Refused
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
