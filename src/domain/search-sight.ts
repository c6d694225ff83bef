import type { Digest, Tag } from './image-reference.ts';
import type { ChangePlan, Plan } from './plan.ts';
import { type Candidate, compareCandidates, type TagPolicy } from './tag-policy.ts';

/** What a look sees of a service: of an exact policy each tag that is there, otherwise the latest. */
export interface Sighted extends Candidate {
  readonly digest: Digest;
}

/** What a look at a service means. */
export interface Sight {
  /** Pushed since the last look. */
  readonly pushed: readonly Sighted[];
  /** Seen for the first time, so whether they were pushed now or a year ago is for the base branch to tell. */
  readonly first: readonly Sighted[];
}

/** The look before: tags with their digests, `undefined` for one that was not there. */
export interface Before {
  readonly tags: ReadonlyMap<Tag, Digest | undefined>;
  /** Of the latest. */
  readonly created?: string;
}

/**
 * Compares a look with the one before. What became earlier by the policy's order (the latest tag was deleted) is no push, and what was not
 * there at all may have been hidden from us: where a base branch can tell, it is asked.
 */
export function compareSight(plan: Pick<Plan, 'tags' | 'stages'>, before: Before | undefined, chosen: readonly Sighted[]): Sight {
  if (before === undefined) return { pushed: [], first: chosen };
  const { tags: policy } = plan;
  const isExact = policy.kind === 'exact';
  const isHidden = ({ tag }: Sighted): boolean => (isExact ? before.tags.get(tag) : [...before.tags.values()][0]) === undefined;
  const isAdded = ({ tag }: Sighted): boolean => isExact && !before.tags.has(tag);
  const hasBase = changeToAsk(plan) !== undefined;
  const isFirst = (now: Sighted): boolean => isAdded(now) || (hasBase && isHidden(now));
  const isPushed = (now: Sighted): boolean =>
    isHidden(now) || (isExact ? before.tags.get(now.tag) !== now.digest : isLater(policy, before, now));
  return {
    first: chosen.filter(isFirst),
    pushed: chosen.filter((now) => !isFirst(now) && isPushed(now)),
  };
}

function isLater(policy: TagPolicy, { tags, created }: Before, now: Sighted): boolean {
  const [latest] = [...tags];
  if (latest === undefined) return true;
  const [tag, digest] = latest;
  if (tag === now.tag) return digest !== now.digest;
  const order = compareCandidates(policy, { tag, ...(created !== undefined && { created }) }, now);
  return order < 0 || (order === 0 && digest !== now.digest);
}

/** The change of the first stage that has one: what its base branch holds has been rolled out before. */
export function changeToAsk({ stages }: Pick<Plan, 'stages'>): ChangePlan | undefined {
  return stages.map(({ change }) => change).find((change) => change !== undefined);
}
