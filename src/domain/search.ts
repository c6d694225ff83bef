import type { Digest, Repository, Tag } from './image-reference.ts';
import type { ChangePlan, Plan } from './plan.ts';
import { type Candidate, compareCandidates } from './tag-policy.ts';

/**
 * What one search of a registry leaves to the next: the result of its workflow, and the only memory that there is. JSON-safe, and some
 * hundred bytes for a service. Lists of pairs, not records: a tag may have the name of what every object has.
 */
export interface SearchMemory {
  readonly services: readonly Watermark[];
  /** When the search began, in seconds since 1970. */
  readonly at?: number;
  /** A limit cut the search off, until then (ISO 8601): the next one begins with this repository. */
  readonly resumeAt?: Repository;
  readonly limitedUntil?: string;
}

/** What the last search found for a service. */
export interface Watermark {
  readonly service: string;
  /** Repository and policy, in short: where the configuration has others by now, this is the memory of something else. */
  readonly follows: string;
  /** An exact policy: every tag of it. Otherwise the latest, or none. The digest is packed; `''`: the tag was not there. */
  readonly tags: readonly (readonly [tag: Tag, digest: string])[];
  /** When that search began, in seconds since 1970, if it was an earlier one than the search that leaves this memory. */
  readonly at?: number;
  /** Creation time of the latest, ISO 8601; for `newest`. */
  readonly created?: string;
  /** What the registry calls the list of tags that the latest was chosen from. */
  readonly etag?: string;
  /** All tags of the list that the policy follows, as packed hashes; for `newest`, which asks only for the times of others. */
  readonly seen?: string;
}

/** 32 bits of FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): to tell texts apart, not against anybody. */
export function shortHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** What `Watermark.follows` has. Tags may be added to an exact policy, and the others stay known. */
export function followsInShort({ repository, tags }: Pick<Plan, 'repository' | 'tags'>): string {
  return shortHash(JSON.stringify([repository, tags.kind === 'exact' ? 'exact' : tags])).toString(36);
}

/** What an earlier run left; nothing if there was none, or if another version of Landfall left something unreadable. */
export function memoryOf(result: unknown): SearchMemory {
  const { services } = (typeof result === 'object' && result !== null ? result : {}) as Partial<SearchMemory>;
  return Array.isArray(services) ? (result as SearchMemory) : { services: [] };
}

/** `found`: `repository:tag@digest` of what was pushed and is taken up now, the first hundred. `failed`: what and why, the first ten. */
export interface SearchOutcome {
  readonly memory: SearchMemory;
  readonly found: readonly string[];
  readonly failed: readonly string[];
}

/** What starts `search`, every so often for each registry (`ghcr.io`). */
export interface SearchStart {
  readonly registry: string;
  readonly everyMs: number;
}

/** A tag, and what it points to. */
export interface TagSnapshot extends Candidate {
  readonly digest: Digest;
}

/** What a search found new, compared with the previous one. */
export interface SnapshotComparison {
  /** Pushed since the previous search. */
  readonly pushed: readonly TagSnapshot[];
  /** Seen for the first time, so whether they were pushed now or a year ago is for the base branch to tell. */
  readonly first: readonly TagSnapshot[];
}

/** What the previous search found: tags with their digests, `undefined` for a tag that was not there. */
export interface PreviousSnapshot {
  readonly tags: ReadonlyMap<Tag, Digest | undefined>;
  /** Of the latest. */
  readonly created?: string;
}

/**
 * Compares what the registry has now with the previous search. A tag that is earlier in the policy's order (the latest was deleted) is no
 * push. A tag that was missing before may have been hidden by a fault, so the base branch decides if there is one.
 */
export function compareSnapshots(
  plan: Pick<Plan, 'tags' | 'stages'>,
  previous: PreviousSnapshot | undefined,
  chosen: readonly TagSnapshot[],
): SnapshotComparison {
  if (previous === undefined) return { pushed: [], first: chosen };
  const { tags, created } = previous;
  const isExact = plan.tags.kind === 'exact';
  const hasBase = changeToAsk(plan) !== undefined;
  const [latest] = tags;
  const digestBefore = ({ tag }: TagSnapshot) => (isExact ? tags.get(tag) : latest?.[1]);
  const isFirst = (now: TagSnapshot): boolean => (isExact && !tags.has(now.tag)) || (hasBase && digestBefore(now) === undefined);
  const isPushed = (now: TagSnapshot): boolean => {
    const digest = digestBefore(now);
    if (digest === undefined || isExact || latest === undefined || latest[0] === now.tag) return digest !== now.digest;
    const order = compareCandidates(plan.tags, { tag: latest[0], ...(created !== undefined && { created }) }, now);
    return order < 0 || (order === 0 && digest !== now.digest);
  };
  return { first: chosen.filter(isFirst), pushed: chosen.filter((now) => !isFirst(now) && isPushed(now)) };
}

/** The change of the first stage that has one: what its base branch holds has been rolled out before. */
export function changeToAsk({ stages }: Pick<Plan, 'stages'>): ChangePlan | undefined {
  return stages.find(({ change }) => change !== undefined)?.change;
}
