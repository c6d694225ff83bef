import { randomInt } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { concurrently } from '../domain/concurrently.ts';
import { Refusal } from '../domain/failures.ts';
import { type Digest, formatReference, type Repository, type Tag } from '../domain/image-reference.ts';
import type { TagSnapshot } from '../domain/search.ts';
import { type Candidate, follows, latestOf, type TagPolicy } from '../domain/tag-policy.ts';
import { creationTime, MissingPart } from '../platform/registry/image-description.ts';
import type { Manifest } from '../platform/registry/manifest.ts';
import type { Registry } from '../platform/registry/registry.ts';
import type { StoredTags } from '../platform/registry/stored-tags.ts';

/** One reading of a repository's tags. */
export interface TagQuery {
  readonly registry: Registry;
  readonly repository: Repository;
  /** What tags pointed to the last time, which spares the registry work. */
  readonly known?: ReadonlyMap<Tag, Digest>;
  /** Manifests are fetched and hashed, instead of asking for their digests. */
  readonly byContent?: boolean;
  /** Tags that are not there, or not completely; filled along the way. */
  readonly missing: Set<Tag>;
  /** Tags whose image cannot be used, and why; filled along the way. */
  readonly broken: Map<Tag, Refusal>;
}

/** The same where creation times are compared. */
export interface StoredTagQuery extends TagQuery {
  readonly stored: StoredTags;
}

/** What a tag points to, with the manifest if that had to be fetched for it. */
interface FoundTag extends TagSnapshot {
  readonly manifest?: Manifest;
}

const requestsAtOnce = 8;
/** So many tags at most are asked for again at one look, in case they moved without anybody telling: of more, any. */
const mostAskedAgain = 200;
/** After so many tags the event loop gets a turn: some repositories have tens of thousands. */
const matchedAtOnce = 2_000;

export async function followedOf(policy: TagPolicy, tags: readonly Tag[]): Promise<Tag[]> {
  const followed: Tag[] = [];
  for (let start = 0; start < tags.length; start += matchedAtOnce) {
    followed.push(...tags.slice(start, start + matchedAtOnce).filter((tag) => follows(policy, tag)));
    await setImmediate();
  }
  return followed;
}

/** The latest tag that the registry has. Nearly always that is the first one that is asked for. */
export async function findLatest(query: TagQuery, policy: TagPolicy, followed: readonly Tag[]): Promise<TagSnapshot[]> {
  let candidates = followed.map((tag) => ({ tag }));
  for (;;) {
    const latest = await latestOfMany(policy, candidates);
    if (latest === undefined) return [];
    const found = await findAll(query, [latest.tag]);
    if (found.length > 0) return found;
    candidates = candidates.filter((candidate) => candidate !== latest);
  }
}

async function latestOfMany<Followed extends Candidate>(policy: TagPolicy, candidates: readonly Followed[]) {
  let latest: Followed | undefined;
  for (let start = 0; start < candidates.length; start += matchedAtOnce) {
    const some = candidates.slice(start, start + matchedAtOnce);
    latest = latestOf(policy, latest === undefined ? some : [latest, ...some]);
    await setImmediate();
  }
  return latest;
}

/**
 * The newest of tags by their creation times. The registry is asked for what is not known, for what is to be asked for in any case, and for
 * what turns out to be the newest; the others count as they are stored.
 * @param tags the first of equally new ones wins
 * @param pushed a tag whose image may not be there completely yet: it is then among the missing
 */
export async function findNewest(
  query: StoredTagQuery,
  policy: TagPolicy,
  tags: readonly Tag[],
  inAnyCase: readonly Tag[],
  pushed?: Tag,
): Promise<TagSnapshot[]> {
  const { stored } = query;
  const fresh = new Set(tags.filter((tag) => inAnyCase.includes(tag) || stored.get(tag) === undefined));
  const now = new Map((await findDated(query, [...fresh], pushed)).map((found) => [found.tag, found]));
  const snapshotOf = (tag: Tag): TagSnapshot[] => {
    const known = fresh.has(tag) ? now.get(tag) : stored.get(tag);
    return known === undefined ? [] : [{ ...known, tag }];
  };
  let candidates = tags.flatMap(snapshotOf);
  for (;;) {
    const newest = await latestOfMany(policy, candidates);
    if (newest === undefined || fresh.has(newest.tag)) return newest === undefined ? [] : [newest];
    const [found] = await findDated(query, [newest.tag]);
    fresh.add(newest.tag);
    candidates = candidates.flatMap((candidate) => (candidate === newest ? (found ?? []) : [candidate]));
  }
}

/** Asks for the stored tags whose turn it is again, and stores what they point to now. */
export async function askAgain(query: StoredTagQuery, listed: readonly Tag[], now: number): Promise<void> {
  query.stored.keepOnly(listed);
  const due = query.stored.due(now);
  await findDated(query, due.length <= mostAskedAgain ? due : anyOf(due, mostAskedAgain));
  query.stored.settle(now);
}

function anyOf<Item>(items: readonly Item[], count: number): Item[] {
  const left = [...items];
  return Array.from({ length: count }, () => left.splice(randomInt(left.length), 1)).flat();
}

async function findDated(query: StoredTagQuery, tags: readonly Tag[], pushed?: Tag): Promise<TagSnapshot[]> {
  const dated = await concurrently(tags, requestsAtOnce, async (tag) => {
    const found = await find(query, tag, query.stored);
    return found && (await dateOf(query, found, pushed));
  });
  return dated.filter((tag) => tag !== undefined);
}

export async function findAll(query: TagQuery, tags: readonly Tag[]): Promise<TagSnapshot[]> {
  const found = await concurrently(tags, requestsAtOnce, (tag) => find(query, tag));
  return found.filter((tag) => tag !== undefined);
}

/**
 * @param stored where it is given, the manifest of a tag that is not there is needed, and so fetched in place of its digest
 * @returns undefined for what is missing or broken: one such tag must not hide the others
 */
async function find(query: TagQuery, tag: Tag, stored?: StoredTags): Promise<FoundTag | undefined> {
  const { registry, repository, known, byContent, missing, broken } = query;
  const before = stored?.get(tag)?.digest ?? known?.get(tag);
  try {
    if (byContent || (stored !== undefined && before === undefined)) {
      const manifest = await registry.manifest(repository, tag);
      if (manifest !== undefined) return { tag, digest: manifest.digest, manifest };
    } else {
      const digest = await registry.resolve(repository, tag, before);
      if (digest !== undefined) return { tag, digest };
    }
    missing.add(tag);
  } catch (error) {
    if (!isBroken(error)) throw error;
    Context.current().log.warn(`${formatReference({ repository, tag })} is left out: ${error.message}`);
    broken.set(tag, error);
  }
  return undefined;
}

/** The registry has it, but not as an image that could be used. */
function isBroken(error: unknown): error is Refusal {
  return error instanceof Refusal && (error.type === 'NotAnImage' || error.type === 'DigestMismatch');
}

/** What cannot be dated, because it is broken or a part of it is gone, stays without a time: one such tag must not hide the others. */
async function dateOf(query: StoredTagQuery, found: FoundTag, pushed: Tag | undefined): Promise<TagSnapshot> {
  const { registry, repository, stored, missing, broken } = query;
  const { tag, digest } = found;
  try {
    const known = stored.of(digest);
    const manifest = known === undefined ? (found.manifest ?? (await registry.manifest(repository, digest))) : undefined;
    if (known === undefined && manifest === undefined) return { tag, digest };
    const created = known === undefined ? manifest && (await creationTime(registry, repository, manifest)) : known.created;
    stored.learn(tag, digest, created);
    return { tag, digest, ...(created !== undefined && { created }) };
  } catch (error) {
    if (!(error instanceof MissingPart) && !isBroken(error)) throw error;
    // The pushed image may not be there completely yet.
    if (error instanceof MissingPart && tag === pushed) missing.add(pushed);
    if (isBroken(error) && tag === pushed) broken.set(pushed, error);
    return { tag, digest };
  }
}
