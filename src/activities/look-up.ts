import { setImmediate } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { concurrently } from '../adapters/registry/concurrently.ts';
import { creationTime, MissingPart } from '../adapters/registry/image-description.ts';
import type { Registry } from '../adapters/registry/registry.ts';
import { Refusal } from '../domain/failures.ts';
import type { ImagePush } from '../domain/image-push.ts';
import { type Digest, formatReference, type Repository, type Tag } from '../domain/image-reference.ts';
import type { ImageIdentity, LookUpOutcome, RateLimited } from '../domain/outcomes.ts';
import type { Plan } from '../domain/plan.ts';
import { type Candidate, follows, latestOf, type TagPolicy } from '../domain/tag-policy.ts';
import { answering } from './boundary.ts';
import { leaveWhenCancelled } from './leave-when-cancelled.ts';
import { defaultNotFoundForMs, isPatienceOver, notInRegistry, type Patience } from './not-in-registry.ts';

export interface LookUpDependencies {
  readonly registry: Registry;
  /** How long a pushed tag that is not found is tried again, from the first attempt on; two minutes. */
  readonly notFoundForMs?: number;
  readonly now?: () => Date;
}

export interface LookUpInput {
  readonly plan: Plan;
  readonly push: ImagePush;
  /** An operator asked for `push.tag`: only that one is looked up. */
  readonly asked?: boolean;
}

/** A tag, and what it points to. */
interface Found extends Candidate {
  readonly digest: Digest;
}

/** One look at the registry. */
interface Look {
  readonly registry: Registry;
  readonly repository: Repository;
  readonly creationTimes: Map<Digest, string | undefined>;
  /** What is not there, or not completely; filled as the look goes on. */
  readonly missing: Set<Tag>;
  /** What is there, but cannot be used, and why; filled likewise. */
  readonly broken: Map<Tag, Refusal>;
}

const requestsAtOnce = 8;
/** So many tags are matched before whoever else waits has a turn: some repositories have tens of thousands. */
const matchedAtOnce = 2_000;
/** Creation times that are kept; beyond that they are all asked for anew. */
const mostRemembered = 10_000;

/**
 * What the followed tags of a service point to now: all of them where the policy names them, the latest one where it orders them. A tag
 * that the registry does not know, or that is broken there, is left out; but the pushed one is looked for again first, because its push said that it is there.
 */
export function createLookUp({ registry, notFoundForMs = defaultNotFoundForMs, now = () => new Date() }: LookUpDependencies): {
  /**
   * @throws ApplicationFailure `CredentialsRefused`; where there is no other tag than the pushed one, `NotInRegistry` if that stays away,
   *   and `NotAnImage` or `DigestMismatch` if it is broken
   */
  lookUpTags(input: LookUpInput): Promise<LookUpOutcome>;
} {
  const patience: Patience = { notFoundForMs, now };
  // A digest's creation time never changes, so each is asked for once.
  const creationTimes = new Map<Digest, string | undefined>();
  return {
    lookUpTags: answering((input: LookUpInput) =>
      leaveWhenCancelled(async () => {
        if (creationTimes.size > mostRemembered) creationTimes.clear();
        return lookUp(
          { registry, repository: input.plan.repository, creationTimes, missing: new Set(), broken: new Map() },
          patience,
          input,
        );
      }),
    ),
  };
}

async function lookUp(
  look: Look,
  patience: Patience,
  { plan, push, asked }: LookUpInput,
): Promise<Exclude<LookUpOutcome, RateLimited>> {
  const { repository, missing, broken } = look;
  const found = asked ? await findAll(look, [push.tag]) : await findFollowed(look, plan.tags, push.tag);
  if (missing.has(push.tag) && (found.length === 0 || !isPatienceOver(patience))) {
    throw notInRegistry(formatReference({ repository, tag: push.tag }), patience);
  }
  const refusal = broken.get(push.tag);
  if (found.length === 0 && refusal !== undefined) throw refusal;
  return { kind: 'found', images: found.map(({ tag, digest }): ImageIdentity => ({ repository, tag, digest })) };
}

async function findFollowed(look: Look, policy: TagPolicy, pushed: Tag): Promise<Found[]> {
  if (policy.kind === 'exact') return findAll(look, policy.tags);
  const listed = await look.registry.tags(look.repository);
  // The list may be older than the push. The pushed tag comes first, and so wins where the policy finds two equal.
  const followed = await followedOf(policy, [...new Set([pushed, ...listed])]);
  if (policy.kind === 'pattern' && policy.order === 'newest') {
    const dated = await concurrently(await findAll(look, followed), requestsAtOnce, (found) => dateOf(look, found, pushed));
    const newest = latestOf(policy, dated);
    return newest === undefined ? [] : [newest];
  }
  return findLatest(look, policy, followed);
}

async function followedOf(policy: TagPolicy, tags: readonly Tag[]): Promise<Tag[]> {
  const followed: Tag[] = [];
  for (let start = 0; start < tags.length; start += matchedAtOnce) {
    followed.push(...tags.slice(start, start + matchedAtOnce).filter((tag) => follows(policy, tag)));
    await setImmediate();
  }
  return followed;
}

/** The latest tag that can be found. Nearly always that is the first one that is asked for. */
async function findLatest(look: Look, policy: TagPolicy, followed: readonly Tag[]): Promise<Found[]> {
  let candidates = followed.map((tag) => ({ tag }));
  for (;;) {
    const latest = latestOf(policy, candidates);
    if (latest === undefined) return [];
    const found = await findAll(look, [latest.tag]);
    if (found.length > 0) return found;
    candidates = candidates.filter((candidate) => candidate !== latest);
  }
}

async function findAll(look: Look, tags: readonly Tag[]): Promise<Found[]> {
  const found = await concurrently(tags, requestsAtOnce, (tag) => find(look, tag));
  return found.filter((tag) => tag !== undefined);
}

/** @returns undefined for what is missing or broken: one such tag must not hide the others */
async function find({ registry, repository, missing, broken }: Look, tag: Tag): Promise<Found | undefined> {
  try {
    const digest = await registry.resolve(repository, tag);
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
async function dateOf(look: Look, found: Found, pushed: Tag): Promise<Found> {
  const { registry, repository, creationTimes, missing } = look;
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
    return found;
  }
}
