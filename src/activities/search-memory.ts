import type { Digest, Tag } from '../domain/image-reference.ts';
import type { Plan } from '../domain/plan.ts';
import { followsInShort, type Known, type SearchMemory, shortHash } from '../domain/search.ts';
import type { Before, Sighted } from '../domain/search-sight.ts';

/** So many tags' hashes are remembered for `newest` in all, five bytes each; beyond that such services are looked at as a whole again. */
const mostSeen = 20_000;

/** The memory of a search by service, and what is added to it as the search goes on. */
export interface Notes {
  /** What is known of what the service follows; undefined: it is seen for the first time. */
  of(plan: Plan): Known | undefined;
  note(known: Known): void;
  /** With what was known before of services that were not reached; what is not followed any more is forgotten. */
  kept(plans: readonly Plan[]): Known[];
  /** When the last look at the service began, in milliseconds since 1970. */
  lookedAt(known: Known): number;
}

export function notesOn({ services, at = 0 }: SearchMemory): Notes {
  const before = new Map(services.map((known) => [known.service, known]));
  const after = new Map<string, Known>();
  const ofPlan = (known: ReadonlyMap<string, Known>, plan: Plan): Known | undefined => {
    const found = known.get(plan.service);
    return found?.follows === followsInShort(plan) ? found : undefined;
  };
  const dated = (known: Known | undefined) => known && { at, ...known };
  return {
    of: (plan) => ofPlan(before, plan),
    note: (known) => void after.set(known.service, known),
    kept: (plans) => withinBounds(plans.flatMap((plan) => ofPlan(after, plan) ?? dated(ofPlan(before, plan)) ?? [])),
    lookedAt: (known) => (known.at ?? at) * 1_000,
  };
}

function withinBounds(services: readonly Known[]): Known[] {
  let left = mostSeen;
  return services.map((known) => {
    left -= seenTags(known.seen).size;
    if (known.seen === undefined || left >= 0) return known;
    const { seen: _, ...rest } = known;
    return rest;
  });
}

export function beforeOf({ tags, created }: Known): Before {
  return {
    tags: new Map(tags.map(([tag, packed]) => [tag, packed === '' ? undefined : unpacked(packed)])),
    ...(created !== undefined && { created }),
  };
}

/** What is not there now and was there before may be a registry's bad moment: what it was stays known. */
export function knownNow(
  plan: Plan,
  before: Known | undefined,
  chosen: readonly Sighted[],
  more: Pick<Known, 'etag' | 'seen'>,
): Known {
  if (chosen.length === 0 && before !== undefined && plan.tags.kind !== 'exact') {
    const { etag: _etag, at: _at, ...rest } = before;
    return rest;
  }
  const now = new Map(chosen.map(({ tag, digest }) => [tag, packed(digest)]));
  const earlier = new Map(before?.tags);
  const tags = plan.tags.kind === 'exact' ? plan.tags.tags : chosen.map(({ tag }) => tag);
  const [latest] = chosen;
  return {
    service: plan.service,
    follows: followsInShort(plan),
    tags: tags.map((tag) => [tag, now.get(tag) ?? earlier.get(tag) ?? ''] as const),
    ...(plan.tags.kind !== 'exact' && latest?.created !== undefined && { created: latest.created }),
    ...more,
  };
}

/** 43 characters instead of 71. */
function packed(digest: Digest): string {
  return Buffer.from(digest.slice('sha256:'.length), 'hex').toString('base64url');
}

function unpacked(text: string): Digest {
  return `sha256:${Buffer.from(text, 'base64url').toString('hex')}` as Digest;
}

export function packedTags(tags: readonly Tag[]): string {
  const bytes = Buffer.alloc(tags.length * 4);
  tags.forEach((tag, index) => void bytes.writeUInt32LE(shortHash(tag), index * 4));
  return bytes.toString('base64url');
}

/** Hashes of tags. */
export function seenTags(text = ''): Set<number> {
  const bytes = Buffer.from(text, 'base64url');
  return new Set(Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readUInt32LE(index * 4)));
}
