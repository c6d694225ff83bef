import type { Digest, Repository, Tag } from '../domain/image-reference.ts';
import type { Plan } from '../domain/plan.ts';
import { type Known, shortHash } from '../domain/search.ts';
import type { Sighted } from '../domain/search-sight.ts';
import { latestOf, type TagPolicy } from '../domain/tag-policy.ts';
import type { Registry } from '../platform/registry/registry.ts';
import { findAll, findDated, findLatest, followedOf, type Look } from './followed-tags.ts';
import { beforeOf, type Notes, packedTags, seenTags } from './search-memory.ts';

/** One look at the services of one repository. */
export interface RepositoryLook {
  readonly registry: Registry;
  readonly repository: Repository;
  readonly plans: readonly Plan[];
  readonly notes: Pick<Notes, 'of'>;
  readonly creationTimes: Map<Digest, string | undefined>;
}

/** What the look saw of one service: of an exact policy every tag that is there, otherwise the latest. */
export interface Seen extends Pick<Known, 'etag' | 'seen'> {
  readonly plan: Plan;
  readonly chosen: readonly Sighted[];
}

/**
 * Creation times cost three requests each. A first look at more tags than this chooses none of them: what is pushed later is compared with
 * nothing, and found. A later look leaves those beyond to the next one.
 */
const mostDated = 100;

/** One request for each exact tag, and for the rest one list, with one request for what each service chooses from it. */
export async function lookAtRepository(look: RepositoryLook): Promise<Seen[]> {
  const tagLook = tagLookOf(look);
  const exact = look.plans.flatMap((plan) => (plan.tags.kind === 'exact' ? [{ plan, tags: plan.tags.tags }] : []));
  const found = await findAll(tagLook, [...new Set(exact.flatMap(({ tags }) => tags))]);
  const seen = exact.map(({ plan, tags }): Seen => ({ plan, chosen: found.filter(({ tag }) => tags.includes(tag)) }));
  const ordered = look.plans.filter(({ tags }) => tags.kind !== 'exact');
  return ordered.length === 0 ? seen : [...seen, ...(await lookAtOrdered(look, tagLook, ordered))];
}

function tagLookOf({ registry, repository, plans, notes, creationTimes }: RepositoryLook): Look {
  const known = new Map<Tag, Digest>();
  for (const plan of plans) {
    const before = notes.of(plan);
    for (const [tag, digest] of before === undefined ? [] : beforeOf(before).tags)
      if (digest !== undefined) known.set(tag, digest);
  }
  return { registry, repository, known, creationTimes, missing: new Set(), broken: new Map() };
}

async function lookAtOrdered(look: RepositoryLook, tagLook: Look, plans: readonly Plan[]): Promise<Seen[]> {
  const etag = etagOfAll(plans.map((plan) => look.notes.of(plan)));
  const list = await look.registry.tagList(look.repository, etag);
  if (list !== 'unchanged') return chooseAll(look, tagLook, plans, list);
  const still = await Promise.all(plans.map((plan) => lookAgain(look, tagLook, plan)));
  if (still.every((seen) => seen !== undefined)) return still;
  // What was the latest is there no more, so that the list has to tell what is.
  const anew = await look.registry.tagList(look.repository);
  return anew === 'unchanged' ? [] : chooseAll(look, tagLook, plans, anew);
}

/** What all of them know the list by; one that sees it for the first time needs the list itself. */
function etagOfAll(known: readonly (Known | undefined)[]): string | undefined {
  const [etag, ...others] = new Set(known.map((one) => one?.etag));
  return others.length === 0 ? etag : undefined;
}

/** The list is what it was, and so is the latest tag: what does that point to now? @returns undefined where it is there no more */
async function lookAgain({ notes }: RepositoryLook, tagLook: Look, plan: Plan): Promise<Seen | undefined> {
  const known = notes.of(plan);
  const tags = (known?.tags ?? []).map(([tag]) => tag);
  const found = isNewest(plan.tags) ? await redated(tagLook, known) : await findAll(tagLook, tags);
  if (found.length < tags.length) return undefined;
  return { plan, chosen: found, ...keptOf(known) };
}

function keptOf(known: Known | undefined): Pick<Known, 'etag' | 'seen'> {
  const { etag, seen } = known ?? {};
  return { ...(etag !== undefined && { etag }), ...(seen !== undefined && { seen }) };
}

type List = { readonly tags: readonly Tag[]; readonly etag?: string };

async function chooseAll({ notes }: RepositoryLook, tagLook: Look, plans: readonly Plan[], list: List): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (const plan of plans) {
    const followed = await followedOf(plan.tags, list.tags);
    const etag = list.etag === undefined ? {} : { etag: list.etag };
    if (isNewest(plan.tags)) seen.push(await chooseNewest(tagLook, plan, notes.of(plan), followed, etag));
    else seen.push({ plan, chosen: await findLatest(tagLook, plan.tags, followed), ...etag });
  }
  return seen;
}

async function chooseNewest(
  tagLook: Look,
  plan: Plan,
  known: Known | undefined,
  followed: readonly Tag[],
  etag: { readonly etag?: string },
): Promise<Seen> {
  const before = seenTags(known?.seen);
  const fresh = followed.filter((tag) => !before.has(shortHash(tag)));
  if (known?.seen === undefined && fresh.length > mostDated) return { plan, chosen: [], seen: packedTags(followed), ...etag };
  const asked = fresh.slice(0, mostDated);
  const later = new Set(fresh.slice(mostDated));
  // The order of the list decides between equals, as it does for whoever looks at all of them.
  const candidates = [...(await redated(tagLook, known)), ...(await findDated(tagLook, asked))];
  const newest = latestOf(plan.tags, candidates);
  return {
    plan,
    chosen: newest === undefined ? [] : [newest],
    seen: packedTags(followed.filter((tag) => !later.has(tag))),
    // With some left over, the next look needs the list again, changed or not.
    ...(later.size === 0 && etag),
  };
}

/** The latest of before: its time is known as long as it points to the same image. */
async function redated(tagLook: Look, known: Known | undefined): Promise<Sighted[]> {
  const [latest] = known === undefined ? [] : beforeOf(known).tags;
  if (latest === undefined) return [];
  const [tag, digest] = latest;
  const [now] = await findAll(tagLook, [tag]);
  if (now === undefined) return [];
  if (now.digest !== digest) return findDated(tagLook, [tag]);
  return [{ ...now, ...(known?.created !== undefined && { created: known.created }) }];
}

function isNewest(policy: TagPolicy): boolean {
  return policy.kind === 'pattern' && policy.order === 'newest';
}
