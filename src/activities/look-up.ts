import { concurrently } from '../adapters/registry/concurrently.ts';
import { creationTime, MissingPart } from '../adapters/registry/image-description.ts';
import type { Registry } from '../adapters/registry/registry.ts';
import { Refusal } from '../domain/failures.ts';
import type { ImagePush } from '../domain/image-push.ts';
import { type Digest, formatReference, type Repository, type Tag } from '../domain/image-reference.ts';
import type { ImageIdentity, LookUpOutcome, RateLimited } from '../domain/outcomes.ts';
import type { Plan } from '../domain/plan.ts';
import { type Candidate, compareCandidates, follows, type TagPolicy } from '../domain/tag-policy.ts';
import { answering } from './boundary.ts';
import { heartbeating } from './heartbeating.ts';
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
}

const requestsAtOnce = 8;
/** Creation times that are kept; beyond that they are all asked for anew. */
const mostRemembered = 10_000;

/**
 * What the followed tags of a service point to now: all of them where the policy names them, the latest one where it orders them. A tag
 * that the registry does not know is left out; but the pushed one is looked for again first, because its push said that it is there.
 */
export function createLookUp({ registry, notFoundForMs = defaultNotFoundForMs, now = () => new Date() }: LookUpDependencies): {
  /** @throws ApplicationFailure `NotInRegistry` where the pushed tag stays away and there is no other, or `CredentialsRefused` */
  lookUpTags(input: LookUpInput): Promise<LookUpOutcome>;
} {
  const patience: Patience = { notFoundForMs, now };
  // A digest's creation time never changes, so each is asked for once.
  const creationTimes = new Map<Digest, string | undefined>();
  return {
    lookUpTags: answering((input: LookUpInput) =>
      heartbeating(async () => {
        if (creationTimes.size > mostRemembered) creationTimes.clear();
        return lookUp({ registry, repository: input.plan.repository, creationTimes, missing: new Set() }, patience, input);
      }),
    ),
  };
}

async function lookUp(
  look: Look,
  patience: Patience,
  { plan, push, asked }: LookUpInput,
): Promise<Exclude<LookUpOutcome, RateLimited>> {
  const { repository, missing } = look;
  const found = asked ? await findAll(look, [push.tag]) : await findFollowed(look, plan.tags, push.tag);
  if (missing.has(push.tag) && (found.length === 0 || !isPatienceOver(patience))) {
    throw notInRegistry(formatReference({ repository, tag: push.tag }), patience);
  }
  return { kind: 'found', images: found.map(({ tag, digest }): ImageIdentity => ({ repository, tag, digest })) };
}

async function findFollowed(look: Look, policy: TagPolicy, pushed: Tag): Promise<Found[]> {
  if (policy.kind === 'exact') return findAll(look, policy.tags);
  const listed = await look.registry.tags(look.repository);
  // The list may be older than the push. The pushed tag comes first, and so wins where the policy finds two equal.
  const followed = [...new Set([pushed, ...listed])].filter((tag) => follows(policy, tag));
  const later = (a: Candidate, b: Candidate) => compareCandidates(policy, b, a);
  if (policy.kind === 'pattern' && policy.order === 'newest') {
    const dated = await concurrently(await findAll(look, followed), requestsAtOnce, (found) => dateOf(look, found, pushed));
    return dated.sort(later).slice(0, 1);
  }
  const latestFirst = followed.map((tag) => ({ tag })).sort(later);
  for (const { tag } of latestFirst) {
    const [latest] = await findAll(look, [tag]);
    if (latest !== undefined) return [latest];
  }
  return [];
}

async function findAll({ registry, repository, missing }: Look, tags: readonly Tag[]): Promise<Found[]> {
  const found = await concurrently(tags, requestsAtOnce, async (tag) => {
    const digest = await registry.resolve(repository, tag);
    if (digest === undefined) missing.add(tag);
    return digest === undefined ? undefined : { tag, digest };
  });
  return found.filter((tag) => tag !== undefined);
}

/** What cannot be dated, because it is no image or a part of it is gone, stays without a time: one broken tag must not hide the others. */
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
    const isUndated = error instanceof MissingPart || (error instanceof Refusal && error.type === 'NotAnImage');
    if (!isUndated) throw error;
    // The pushed image may not be there completely yet.
    if (error instanceof MissingPart && found.tag === pushed) missing.add(pushed);
    return found;
  }
}
