import type { Repository, Tag } from './image-reference.ts';
import type { Plan } from './plan.ts';

/**
 * What one search of a registry leaves to the next: the result of its workflow, and the only memory that there is. JSON-safe, and some
 * hundred bytes for a service. Lists of pairs, not records: tags may be named like what every object has.
 */
export interface SearchMemory {
  readonly services: readonly Watermark[];
  /** When the search began, in seconds since 1970. */
  readonly at?: number;
  /** Where a limit cut the search off: the next one begins with this repository. */
  readonly resumeAt?: Repository;
  /** ISO 8601: until then the registry asked not to be asked. */
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

/** What a service follows, as `Known.follows` has it. Tags may be added to an exact policy, and the others stay known. */
export function followsInShort({ repository, tags }: Pick<Plan, 'repository' | 'tags'>): string {
  return shortHash(JSON.stringify([repository, tags.kind === 'exact' ? 'exact' : tags])).toString(36);
}

/** What an earlier run left; nothing if there was none, or if another version of Landfall left something unreadable. */
export function memoryOf(result: unknown): SearchMemory {
  const { services } = (typeof result === 'object' && result !== null ? result : {}) as Partial<SearchMemory>;
  return Array.isArray(services) ? (result as SearchMemory) : { services: [] };
}

/** What one search did. */
export interface SearchOutcome {
  readonly memory: SearchMemory;
  /** `repository:tag@digest` of what was pushed and is taken up now; the first hundred. */
  readonly found: readonly string[];
  /** What could not be searched, and why; the first ten. */
  readonly failed: readonly string[];
}

/** What starts `search`: once per interval for each registry. */
export interface SearchStart {
  /** `ghcr.io` */
  readonly registry: string;
  /** Milliseconds from one search to the next. */
  readonly everyMs: number;
}
