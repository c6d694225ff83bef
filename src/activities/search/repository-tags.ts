import type { Digest, Repository, Tag } from '../../domain/image-reference.ts';
import type { Plan } from '../../domain/plan.ts';
import { shortHash, type Watermark } from '../../domain/search.ts';
import type { TagSnapshot } from '../../domain/search-snapshot.ts';
import { latestOf, type TagPolicy } from '../../domain/tag-policy.ts';
import type { Registry } from '../../platform/registry/registry.ts';
import { findAll, findDated, findLatest, followedOf, type TagQuery } from '../followed-tags.ts';
import { packedTags, previousOf, seenTags, type Watermarks } from './watermarks.ts';

/** What to read for the services of one repository. */
export interface RepositoryQuery {
  readonly registry: Registry;
  readonly repository: Repository;
  readonly plans: readonly Plan[];
  readonly watermarks: Pick<Watermarks, 'of'>;
  readonly creationTimes: Map<Digest, string | undefined>;
}

/** What the registry has for one service: with an exact policy every followed tag, otherwise the latest. */
export interface ServiceSnapshot extends Pick<Watermark, 'etag' | 'seen'> {
  readonly plan: Plan;
  readonly chosen: readonly TagSnapshot[];
}

/**
 * Creation times cost three requests each. A first search with more tags than this chooses none of them: a later push is then found,
 * because there is nothing to compare it with. A later search leaves the rest to the next one.
 */
const mostDated = 100;

/** One request for each exact tag, and for the rest one list, with one request for what each service chooses from it. */
export async function readSnapshots(query: RepositoryQuery): Promise<ServiceSnapshot[]> {
  const tagQuery = tagQueryOf(query);
  const exact = query.plans.flatMap((plan) => (plan.tags.kind === 'exact' ? [{ plan, tags: plan.tags.tags }] : []));
  const found = await findAll(tagQuery, [...new Set(exact.flatMap(({ tags }) => tags))]);
  const snapshots = exact.map(
    ({ plan, tags }): ServiceSnapshot => ({ plan, chosen: found.filter(({ tag }) => tags.includes(tag)) }),
  );
  const ordered = query.plans.filter(({ tags }) => tags.kind !== 'exact');
  return ordered.length === 0 ? snapshots : [...snapshots, ...(await readOrdered(query, tagQuery, ordered))];
}

function tagQueryOf({ registry, repository, plans, watermarks, creationTimes }: RepositoryQuery): TagQuery {
  const known = new Map<Tag, Digest>();
  for (const plan of plans) {
    const before = watermarks.of(plan);
    for (const [tag, digest] of before === undefined ? [] : previousOf(before).tags)
      if (digest !== undefined) known.set(tag, digest);
  }
  return { registry, repository, known, creationTimes, missing: new Set(), broken: new Map() };
}

async function readOrdered(query: RepositoryQuery, tagQuery: TagQuery, plans: readonly Plan[]): Promise<ServiceSnapshot[]> {
  const etag = etagOfAll(plans.map((plan) => query.watermarks.of(plan)));
  const list = await query.registry.tagList(query.repository, etag);
  if (list !== 'unchanged') return chooseAll(query, tagQuery, plans, list);
  const still = await Promise.all(plans.map((plan) => readLatestAgain(query, tagQuery, plan)));
  if (still.every((snapshots) => snapshots !== undefined)) return still;
  // The latest tag is gone, so read the list again.
  const anew = await query.registry.tagList(query.repository);
  return anew === 'unchanged' ? [] : chooseAll(query, tagQuery, plans, anew);
}

/** The etag that all of them share; a service that is new needs the list itself. */
function etagOfAll(watermarks: readonly (Watermark | undefined)[]): string | undefined {
  const [etag, ...others] = new Set(watermarks.map((watermark) => watermark?.etag));
  return others.length === 0 ? etag : undefined;
}

/** The list has not changed, so the latest tag is the same: what does it point to now? @returns undefined if it is gone */
async function readLatestAgain(
  { watermarks }: RepositoryQuery,
  tagQuery: TagQuery,
  plan: Plan,
): Promise<ServiceSnapshot | undefined> {
  const watermark = watermarks.of(plan);
  const tags = (watermark?.tags ?? []).map(([tag]) => tag);
  const found = isNewest(plan.tags) ? await redated(tagQuery, watermark) : await findAll(tagQuery, tags);
  if (found.length < tags.length) return undefined;
  return { plan, chosen: found, ...unchangedOf(watermark) };
}

function unchangedOf(watermark: Watermark | undefined): Pick<Watermark, 'etag' | 'seen'> {
  const { etag, seen: snapshots } = watermark ?? {};
  return { ...(etag !== undefined && { etag }), ...(snapshots !== undefined && { seen: snapshots }) };
}

type ListedTags = { readonly tags: readonly Tag[]; readonly etag?: string };

async function chooseAll(
  { watermarks }: RepositoryQuery,
  tagQuery: TagQuery,
  plans: readonly Plan[],
  list: ListedTags,
): Promise<ServiceSnapshot[]> {
  const snapshots: ServiceSnapshot[] = [];
  for (const plan of plans) {
    const followed = await followedOf(plan.tags, list.tags);
    const etag = list.etag === undefined ? {} : { etag: list.etag };
    if (isNewest(plan.tags)) snapshots.push(await chooseNewest(tagQuery, plan, watermarks.of(plan), followed, etag));
    else snapshots.push({ plan, chosen: await findLatest(tagQuery, plan.tags, followed), ...etag });
  }
  return snapshots;
}

async function chooseNewest(
  tagQuery: TagQuery,
  plan: Plan,
  watermark: Watermark | undefined,
  followed: readonly Tag[],
  etag: { readonly etag?: string },
): Promise<ServiceSnapshot> {
  const before = seenTags(watermark?.seen);
  const fresh = followed.filter((tag) => !before.has(shortHash(tag)));
  if (watermark?.seen === undefined && fresh.length > mostDated) return { plan, chosen: [], seen: packedTags(followed), ...etag };
  const asked = fresh.slice(0, mostDated);
  const later = new Set(fresh.slice(mostDated));
  // Among equally new tags the order of the list decides, as it does when all of them are compared.
  const candidates = [...(await redated(tagQuery, watermark)), ...(await findDated(tagQuery, asked))];
  const newest = latestOf(plan.tags, candidates);
  return {
    plan,
    chosen: newest === undefined ? [] : [newest],
    seen: packedTags(followed.filter((tag) => !later.has(tag))),
    // If some are left over, the next search needs the list again, changed or not.
    ...(later.size === 0 && etag),
  };
}

/** The previously latest tag: its creation time stays known while it points to the same image. */
async function redated(tagQuery: TagQuery, watermark: Watermark | undefined): Promise<TagSnapshot[]> {
  const [latest] = watermark === undefined ? [] : previousOf(watermark).tags;
  if (latest === undefined) return [];
  const [tag, digest] = latest;
  const [now] = await findAll(tagQuery, [tag]);
  if (now === undefined) return [];
  if (now.digest !== digest) return findDated(tagQuery, [tag]);
  return [{ ...now, ...(watermark?.created !== undefined && { created: watermark.created }) }];
}

function isNewest(policy: TagPolicy): boolean {
  return policy.kind === 'pattern' && policy.order === 'newest';
}
