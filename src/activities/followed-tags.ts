import { setImmediate } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { concurrently } from '../domain/concurrently.ts';
import { Refusal } from '../domain/failures.ts';
import { type Digest, formatReference, type Repository, type Tag } from '../domain/image-reference.ts';
import type { TagSnapshot } from '../domain/search.ts';
import { follows, latestOf, type TagPolicy } from '../domain/tag-policy.ts';
import { creationTime, MissingPart } from '../platform/registry/image-description.ts';
import type { Registry } from '../platform/registry/registry.ts';

/** One reading of a repository's tags. */
export interface TagQuery {
  readonly registry: Registry;
  readonly repository: Repository;
  /** What tags pointed to the last time, which spares the registry work. */
  readonly known?: ReadonlyMap<Tag, Digest>;
  /** Manifests are fetched and hashed, instead of asking for their digests. */
  readonly byContent?: boolean;
  /** A digest's creation time never changes, so each is asked for once. */
  readonly creationTimes: Map<Digest, string | undefined>;
  /** Tags that are not there, or not completely; filled along the way. */
  readonly missing: Set<Tag>;
  /** Tags whose image cannot be used, and why; filled along the way. */
  readonly broken: Map<Tag, Refusal>;
}

const requestsAtOnce = 8;
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

async function latestOfMany(policy: TagPolicy, candidates: readonly { readonly tag: Tag }[]) {
  let latest: { readonly tag: Tag } | undefined;
  for (let start = 0; start < candidates.length; start += matchedAtOnce) {
    const some = candidates.slice(start, start + matchedAtOnce);
    latest = latestOf(policy, latest === undefined ? some : [latest, ...some]);
    await setImmediate();
  }
  return latest;
}

/** @param pushed a tag whose image may not be there completely yet: it is then among the missing */
export async function findDated(query: TagQuery, tags: readonly Tag[], pushed?: Tag): Promise<TagSnapshot[]> {
  return concurrently(await findAll(query, tags), requestsAtOnce, (found) => dateOf(query, found, pushed));
}

export async function findAll(query: TagQuery, tags: readonly Tag[]): Promise<TagSnapshot[]> {
  const found = await concurrently(tags, requestsAtOnce, (tag) => find(query, tag));
  return found.filter((tag) => tag !== undefined);
}

/** @returns undefined for what is missing or broken: one such tag must not hide the others */
async function find(query: TagQuery, tag: Tag): Promise<TagSnapshot | undefined> {
  const { registry, repository, known, byContent, missing, broken } = query;
  try {
    const digest = byContent
      ? (await registry.manifest(repository, tag))?.digest
      : await registry.resolve(repository, tag, known?.get(tag));
    if (digest !== undefined) return { tag, digest };
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
async function dateOf(query: TagQuery, found: TagSnapshot, pushed: Tag | undefined): Promise<TagSnapshot> {
  const { registry, repository, creationTimes, missing, broken } = query;
  try {
    if (!creationTimes.has(found.digest)) {
      const manifest = await registry.manifest(repository, found.digest);
      creationTimes.set(found.digest, manifest && (await creationTime(registry, repository, manifest)));
    }
    const created = creationTimes.get(found.digest);
    return created === undefined ? found : { ...found, created };
  } catch (error) {
    if (!(error instanceof MissingPart) && !isBroken(error)) throw error;
    // The pushed image may not be there completely yet.
    if (error instanceof MissingPart && found.tag === pushed) missing.add(pushed);
    if (isBroken(error) && found.tag === pushed) broken.set(pushed, error);
    return found;
  }
}
