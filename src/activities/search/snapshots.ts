import type { Digest, Repository, Tag } from '../../domain/image-reference.ts';
import type { Plan } from '../../domain/plan.ts';
import {
  followsInShort,
  type PreviousSnapshot,
  type SearchMemory,
  shortHash,
  type TagSnapshot,
  type Watermark,
} from '../../domain/search.ts';
import type { TagPolicy } from '../../domain/tag-policy.ts';
import type { Registry } from '../../platform/registry/registry.ts';
import type { StoredTags } from '../../platform/registry/stored-tags.ts';
import { askAgain, findAll, findLatest, findNewest, followedOf, type StoredTagQuery, type TagQuery } from '../followed-tags.ts';

/** So many tags' hashes are remembered for `newest` in all, five bytes each; beyond that such services are looked at as a whole again. */
const mostSeen = 20_000;
/**
 * A creation time that is not stored costs two or three requests. A first search with more of them than this chooses no tag: a later push
 * is then found, because there is nothing to compare it with. A later search leaves the rest to the next one.
 */
const mostDated = 100;

/** The memory of a search, by service: what the previous search left, and what this one adds. */
export type Watermarks = ReturnType<typeof openWatermarks>;

export function openWatermarks({ services, at = 0 }: SearchMemory) {
  const before = new Map(services.map((watermark) => [watermark.service, watermark]));
  const after = new Map<string, Watermark>();
  const ofPlan = (watermarks: ReadonlyMap<string, Watermark>, plan: Plan): Watermark | undefined => {
    const found = watermarks.get(plan.service);
    return found?.follows === followsInShort(plan) ? found : undefined;
  };
  return {
    /** What the previous search left for what the service follows; undefined: it is searched for the first time. */
    of: (plan: Plan) => ofPlan(before, plan),
    set: (watermark: Watermark) => void after.set(watermark.service, watermark),
    /** Services that were not reached keep their previous watermark; what is not followed any more is forgotten. */
    all(plans: readonly Plan[]): Watermark[] {
      let left = mostSeen;
      return plans.flatMap((plan) => {
        const earlier = ofPlan(before, plan);
        const watermark = ofPlan(after, plan) ?? (earlier && { at, ...earlier });
        if (watermark === undefined) return [];
        left -= seenTags(watermark.seen).size;
        if (watermark.seen === undefined || left >= 0) return [watermark];
        const { seen: _, ...rest } = watermark;
        return [rest];
      });
    },
    /** When the last search that reached the service began, in milliseconds since 1970. */
    searchedAt: (watermark: Watermark) => (watermark.at ?? at) * 1_000,
  };
}

export function previousOf(watermark: Watermark | undefined): PreviousSnapshot | undefined {
  if (watermark === undefined) return undefined;
  const { tags, created } = watermark;
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
  const created = plan.tags.kind === 'exact' ? undefined : chosen[0]?.created;
  return {
    service: plan.service,
    follows: followsInShort(plan),
    tags: tags.map((tag) => [tag, now.get(tag) ?? earlier.get(tag) ?? ''] as const),
    ...(created !== undefined && { created }),
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

function packedTags(tags: readonly Tag[]): string {
  const bytes = Buffer.alloc(tags.length * 4);
  tags.forEach((tag, index) => void bytes.writeUInt32LE(shortHash(tag), index * 4));
  return bytes.toString('base64url');
}

/** Hashes of tags. */
function seenTags(text = ''): Set<number> {
  const bytes = Buffer.from(text, 'base64url');
  return new Set(Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readUInt32LE(index * 4)));
}

/** What to read for the services of one repository. */
export interface RepositoryQuery {
  readonly registry: Registry;
  readonly repository: Repository;
  readonly plans: readonly Plan[];
  readonly watermarks: Watermarks;
  readonly storedTags: (repository: Repository) => Promise<StoredTags>;
  readonly now: () => Date;
}

/** The same as it is worked on. `stored` is there if one of the services asks for creation times. */
interface ListQuery {
  readonly tags: TagQuery;
  readonly dated?: StoredTagQuery;
  readonly watermarks: Watermarks;
  readonly plans: readonly Plan[];
  readonly now: number;
}

/** What the registry has for one service: with an exact policy every followed tag, otherwise the latest. */
export interface ServiceSnapshot extends Pick<Watermark, 'etag' | 'seen'> {
  readonly plan: Plan;
  readonly chosen: readonly TagSnapshot[];
}

/** One request for each exact tag, and for the rest one list, with one request for what each service chooses from it. */
export async function readSnapshots(query: RepositoryQuery): Promise<ServiceSnapshot[]> {
  const { registry, repository, plans, watermarks } = query;
  const known = new Map<Tag, Digest>();
  for (const plan of plans) {
    for (const [tag, digest] of previousOf(watermarks.of(plan))?.tags ?? []) if (digest !== undefined) known.set(tag, digest);
  }
  const tagQuery: TagQuery = { registry, repository, known, missing: new Set(), broken: new Map() };
  const exact = plans.flatMap((plan) => (plan.tags.kind === 'exact' ? [{ plan, tags: plan.tags.tags }] : []));
  const found = await findAll(tagQuery, [...new Set(exact.flatMap(({ tags }) => tags))]);
  const snapshots = exact.map(({ plan, tags }) => ({ plan, chosen: found.filter(({ tag }) => tags.includes(tag)) }));
  const ordered = plans.filter(({ tags }) => tags.kind !== 'exact');
  return ordered.length === 0 ? snapshots : [...snapshots, ...(await readOrdered(query, tagQuery, ordered))];
}

async function readOrdered(query: RepositoryQuery, tags: TagQuery, plans: readonly Plan[]): Promise<ServiceSnapshot[]> {
  const { watermarks, storedTags } = query;
  const ordered: ListQuery = { tags, watermarks, plans, now: query.now().getTime() };
  if (!plans.some((plan) => isNewest(plan.tags))) return readLists(ordered);
  const stored = await storedTags(query.repository);
  try {
    return await readLists({ ...ordered, dated: { ...tags, stored } });
  } finally {
    await stored.close();
  }
}

async function readLists(query: ListQuery): Promise<ServiceSnapshot[]> {
  const { watermarks, plans, tags, dated, now } = query;
  // The etag that all of them share; a service that is new needs the list itself.
  const [etag, ...others] = new Set(plans.map((plan) => watermarks.of(plan)?.etag));
  const list = await tags.registry.tagList(tags.repository, others.length === 0 ? etag : undefined);
  if (dated !== undefined) await askAgain(dated, list === 'unchanged' ? dated.stored.tags() : list.tags, now);
  if (list !== 'unchanged') return chooseAll(query, list);
  const still = await Promise.all(plans.map((plan) => readLatestAgain(query, plan)));
  if (still.every((snapshots) => snapshots !== undefined)) return still;
  // The latest tag is gone, so read the list again.
  const anew = await tags.registry.tagList(tags.repository);
  return anew === 'unchanged' ? [] : chooseAll(query, anew);
}

/** The list has not changed, so the latest tag is the same: what does it point to now? @returns undefined if it is gone */
async function readLatestAgain({ watermarks, tags, dated }: ListQuery, plan: Plan): Promise<ServiceSnapshot | undefined> {
  const watermark = watermarks.of(plan);
  const { etag, seen } = watermark ?? {};
  const latest = latestTags(watermark, dated);
  const isDated = dated !== undefined && isNewest(plan.tags);
  const candidates = isDated ? new Set([...latest, ...(await followedOf(plan.tags, dated.stored.tags()))]) : [];
  const chosen = isDated ? await findNewest(dated, plan.tags, [...candidates], latest) : await findAll(tags, latest);
  if (chosen.length < latest.length || latest.some((tag) => tags.missing.has(tag))) return undefined;
  return { plan, chosen, ...(etag !== undefined && { etag }), ...(seen !== undefined && { seen }) };
}

/** What was the latest; its creation time is known as long as it points to the same image. */
function latestTags(watermark: Watermark | undefined, dated: StoredTagQuery | undefined): Tag[] {
  const { tags, created } = previousOf(watermark) ?? {};
  for (const [tag, digest] of tags ?? [])
    if (created !== undefined && digest !== undefined && dated?.stored.get(tag) === undefined)
      dated?.stored.learn(tag, digest, created);
  return [...(tags?.keys() ?? [])];
}

async function chooseAll(
  { watermarks, tags: query, dated, plans }: ListQuery,
  list: { readonly tags: readonly Tag[]; readonly etag?: string },
): Promise<ServiceSnapshot[]> {
  const snapshots: ServiceSnapshot[] = [];
  const etag = list.etag === undefined ? {} : { etag: list.etag };
  for (const plan of plans) {
    const followed = await followedOf(plan.tags, list.tags);
    if (dated !== undefined && isNewest(plan.tags))
      snapshots.push(await chooseNewest(dated, plan, watermarks.of(plan), followed, etag));
    else snapshots.push({ plan, chosen: await findLatest(query, plan.tags, followed), ...etag });
  }
  return snapshots;
}

/** Compares what is stored with what is new in the list. What an earlier search saw, but is not stored on this machine, is left out. */
async function chooseNewest(
  query: StoredTagQuery,
  plan: Plan,
  watermark: Watermark | undefined,
  followed: readonly Tag[],
  etag: Pick<Watermark, 'etag'>,
): Promise<ServiceSnapshot> {
  const latest = latestTags(watermark, query);
  const before = seenTags(watermark?.seen);
  const isStored = (tag: Tag): boolean => query.stored.get(tag) !== undefined;
  const fresh = followed.filter((tag) => !isStored(tag) && !before.has(shortHash(tag)));
  if (watermark?.seen === undefined && fresh.length > mostDated) return { plan, chosen: [], seen: packedTags(followed), ...etag };
  const soon = new Set(fresh.slice(0, mostDated));
  const later = new Set(fresh.slice(mostDated));
  // Among equally new tags the order of the list decides, as it does when all of them are compared.
  const candidates = new Set([...latest, ...followed.filter((tag) => soon.has(tag) || isStored(tag))]);
  return {
    plan,
    chosen: await findNewest(query, plan.tags, [...candidates], latest),
    seen: packedTags(followed.filter((tag) => !later.has(tag))),
    // If some are left over, the next search needs the list again, changed or not.
    ...(later.size === 0 && etag),
  };
}

function isNewest(policy: TagPolicy): boolean {
  return policy.kind === 'pattern' && policy.order === 'newest';
}
