import type { ResolveActivities } from '../contracts/activities/pushes.ts';
import type { ResolveRequest } from '../contracts/messages.ts';
import { formatReference, type Tag } from '../domain/image-reference.ts';
import type { RateLimited, ResolveOutcome } from '../domain/outcomes.ts';
import type { TagSnapshot } from '../domain/search.ts';
import type { TagPolicy } from '../domain/tag-policy.ts';
import { answering, leaveWhenCancelled } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';
import { askAgain, findAll, findLatest, findNewest, followedOf, type TagQuery } from './followed-tags.ts';
import { isWindowOver, type NotFoundWindow, notInRegistry, retryWithinWindow, windowOf } from './not-in-registry.ts';

/** What a look needs beside the registry. */
interface ResolveSettings extends Pick<Dependencies, 'storedTags'> {
  readonly window: NotFoundWindow;
  readonly now: () => Date;
}

/**
 * What the followed tags of a service point to now: all of them where the policy names them, the latest one where it orders them. A tag
 * that the registry does not know, or that is broken there, is left out; but the pushed one is looked for again first, because its push said that it is there.
 */
export function createResolve({
  registry,
  storedTags,
  plansFor,
  ...options
}: Pick<Dependencies, 'registry' | 'storedTags' | 'plansFor' | 'notFoundForMs' | 'now'>): Pick<
  ResolveActivities,
  'resolveTags' | 'planNow'
> {
  const settings: ResolveSettings = { storedTags, window: windowOf(options), now: options.now ?? (() => new Date()) };
  return {
    planNow: async ({ service, repository, tag }) => plansFor(repository, tag).find((plan) => plan.service === service),
    resolveTags: answering((input: ResolveRequest) =>
      leaveWhenCancelled(async () => {
        const { repository } = input.plan;
        // Where HEAD and GET contradict each other, they would go on to.
        const byContent = input.moved === true;
        const query = { registry, repository, byContent, missing: new Set<Tag>(), broken: new Map() };
        return lookUp(query, settings, input);
      }),
    ),
  };
}

async function lookUp(
  query: TagQuery,
  settings: ResolveSettings,
  { plan, push, manual }: ResolveRequest,
): Promise<Exclude<ResolveOutcome, RateLimited>> {
  const { repository, missing, broken } = query;
  const { window } = settings;
  const found = manual ? await findAll(query, [push.tag]) : await findFollowed(query, settings, plan.tags, push.tag);
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

async function findFollowed(query: TagQuery, settings: ResolveSettings, policy: TagPolicy, pushed: Tag): Promise<TagSnapshot[]> {
  if (policy.kind === 'exact') return findAll(query, policy.tags);
  const listed = await query.registry.tags(query.repository);
  // The list may be older than the push. The pushed tag comes first, and so wins where the policy finds two equal.
  const followed = await followedOf(policy, [...new Set([pushed, ...listed])]);
  if (policy.kind !== 'pattern' || policy.order !== 'newest') return findLatest(query, policy, followed);
  const stored = await settings.storedTags(query.repository);
  try {
    const dated = { ...query, stored };
    await askAgain(dated, listed, settings.now().getTime());
    return await findNewest(dated, policy, followed, [pushed], pushed);
  } finally {
    await stored.close();
  }
}
