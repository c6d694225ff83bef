import type { ResolveActivities } from '../contracts/activities/pushes.ts';
import type { ResolveRequest } from '../contracts/messages.ts';
import { type Digest, formatReference, type Tag } from '../domain/image-reference.ts';
import type { RateLimited, ResolveOutcome } from '../domain/outcomes.ts';
import type { TagSnapshot } from '../domain/search.ts';
import { latestOf, type TagPolicy } from '../domain/tag-policy.ts';
import { answering, leaveWhenCancelled } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';
import { findAll, findDated, findLatest, followedOf, type TagQuery } from './followed-tags.ts';
import { isWindowOver, type NotFoundWindow, notInRegistry, retryWithinWindow, windowOf } from './not-in-registry.ts';

/** Creation times that are kept; beyond that they are all asked for anew. */
const mostRemembered = 10_000;

/**
 * What the followed tags of a service point to now: all of them where the policy names them, the latest one where it orders them. A tag
 * that the registry does not know, or that is broken there, is left out; but the pushed one is looked for again first, because its push said that it is there.
 */
export function createResolve({
  registry,
  ...options
}: Pick<Dependencies, 'registry' | 'notFoundForMs' | 'now'>): Pick<ResolveActivities, 'resolveTags'> {
  const window = windowOf(options);
  const creationTimes = new Map<Digest, string | undefined>();
  return {
    resolveTags: answering((input: ResolveRequest) =>
      leaveWhenCancelled(async () => {
        if (creationTimes.size > mostRemembered) creationTimes.clear();
        const { repository } = input.plan;
        // Where HEAD and GET contradict each other, they would go on to.
        const byContent = input.moved === true;
        const query = { registry, repository, byContent, creationTimes, missing: new Set<Tag>(), broken: new Map() };
        return lookUp(query, window, input);
      }),
    ),
  };
}

async function lookUp(
  query: TagQuery,
  window: NotFoundWindow,
  { plan, push, manual }: ResolveRequest,
): Promise<Exclude<ResolveOutcome, RateLimited>> {
  const { repository, missing, broken } = query;
  const found = manual ? await findAll(query, [push.tag]) : await findFollowed(query, plan.tags, push.tag);
  if (missing.has(push.tag) && (found.length === 0 || !isWindowOver(window))) {
    throw notInRegistry(formatReference({ repository, tag: push.tag }), window);
  }
  const refusal = broken.get(push.tag);
  if (refusal !== undefined) {
    const error = retryWithinWindow(refusal, window);
    if (error !== refusal || found.length === 0) throw error;
  }
  return { kind: 'found', images: found.map(({ tag, digest }) => ({ repository, tag, digest })) };
}

async function findFollowed(query: TagQuery, policy: TagPolicy, pushed: Tag): Promise<TagSnapshot[]> {
  if (policy.kind === 'exact') return findAll(query, policy.tags);
  const listed = await query.registry.tags(query.repository);
  // The list may be older than the push. The pushed tag comes first, and so wins where the policy finds two equal.
  const followed = await followedOf(policy, [...new Set([pushed, ...listed])]);
  if (policy.kind !== 'pattern' || policy.order !== 'newest') return findLatest(query, policy, followed);
  const newest = latestOf(policy, await findDated(query, followed, pushed));
  return newest === undefined ? [] : [newest];
}
