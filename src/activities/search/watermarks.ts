import type { Digest, Tag } from '../../domain/image-reference.ts';
import type { Plan } from '../../domain/plan.ts';
import { followsInShort, type SearchMemory, shortHash, type Watermark } from '../../domain/search.ts';
import type { PreviousSnapshot, TagSnapshot } from '../../domain/search-snapshot.ts';

/** So many tags' hashes are remembered for `newest` in all, five bytes each; beyond that such services are looked at as a whole again. */
const mostSeen = 20_000;

/** The memory of a search, by service: what the previous search left, and what this one adds. */
export interface Watermarks {
  /** What the previous search left for what the service follows; undefined: it is searched for the first time. */
  of(plan: Plan): Watermark | undefined;
  set(watermark: Watermark): void;
  /** Services that were not reached keep their previous watermark; what is not followed any more is forgotten. */
  all(plans: readonly Plan[]): Watermark[];
  /** When the last search that reached the service began, in milliseconds since 1970. */
  searchedAt(watermark: Watermark): number;
}

export function openWatermarks({ services, at = 0 }: SearchMemory): Watermarks {
  const before = new Map(services.map((watermark) => [watermark.service, watermark]));
  const after = new Map<string, Watermark>();
  const ofPlan = (watermark: ReadonlyMap<string, Watermark>, plan: Plan): Watermark | undefined => {
    const found = watermark.get(plan.service);
    return found?.follows === followsInShort(plan) ? found : undefined;
  };
  const dated = (watermark: Watermark | undefined) => watermark && { at, ...watermark };
  return {
    of: (plan) => ofPlan(before, plan),
    set: (watermark) => void after.set(watermark.service, watermark),
    all: (plans) => withinBounds(plans.flatMap((plan) => ofPlan(after, plan) ?? dated(ofPlan(before, plan)) ?? [])),
    searchedAt: (watermark) => (watermark.at ?? at) * 1_000,
  };
}

function withinBounds(services: readonly Watermark[]): Watermark[] {
  let left = mostSeen;
  return services.map((watermark) => {
    left -= seenTags(watermark.seen).size;
    if (watermark.seen === undefined || left >= 0) return watermark;
    const { seen: _, ...rest } = watermark;
    return rest;
  });
}

export function previousOf({ tags, created }: Watermark): PreviousSnapshot {
  return {
    tags: new Map(tags.map(([tag, packed]) => [tag, packed === '' ? undefined : unpacked(packed)])),
    ...(created !== undefined && { created }),
  };
}

/** A tag that is missing now may be a passing fault of the registry: what it pointed to stays known. */
export function nextWatermark(
  plan: Plan,
  before: Watermark | undefined,
  chosen: readonly TagSnapshot[],
  more: Pick<Watermark, 'etag' | 'seen'>,
): Watermark {
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
