import type { Digest, Tag } from './image-reference.ts';
import type { ChangePlan, Plan } from './plan.ts';
import { type Candidate, compareCandidates, type TagPolicy } from './tag-policy.ts';

/** A tag, and what it points to. */
export interface TagSnapshot extends Candidate {
  readonly digest: Digest;
}

/** What a search found new, compared with the previous one. */
export interface SnapshotComparison {
  /** Pushed since the previous search. */
  readonly pushed: readonly TagSnapshot[];
  /** Seen for the first time, so whether they were pushed now or a year ago is for the base branch to tell. */
  readonly first: readonly TagSnapshot[];
}

/** What the previous search found: tags with their digests, `undefined` for a tag that was not there. */
export interface PreviousSnapshot {
  readonly tags: ReadonlyMap<Tag, Digest | undefined>;
  /** Of the latest. */
  readonly created?: string;
}

/**
 * Compares what the registry has now with the previous search. A tag that is earlier in the policy's order (the latest was deleted) is no
 * push. A tag that was missing before may have been hidden by a fault, so the base branch decides if there is one.
 */
export function compareSnapshots(
  plan: Pick<Plan, 'tags' | 'stages'>,
  previous: PreviousSnapshot | undefined,
  chosen: readonly TagSnapshot[],
): SnapshotComparison {
  if (previous === undefined) return { pushed: [], first: chosen };
  const { tags: policy } = plan;
  const isExact = policy.kind === 'exact';
  const isHidden = ({ tag }: TagSnapshot): boolean =>
    (isExact ? previous.tags.get(tag) : [...previous.tags.values()][0]) === undefined;
  const isAdded = ({ tag }: TagSnapshot): boolean => isExact && !previous.tags.has(tag);
  const hasBase = changeToAsk(plan) !== undefined;
  const isFirst = (now: TagSnapshot): boolean => isAdded(now) || (hasBase && isHidden(now));
  const isPushed = (now: TagSnapshot): boolean =>
    isHidden(now) || (isExact ? previous.tags.get(now.tag) !== now.digest : isLater(policy, previous, now));
  return {
    first: chosen.filter(isFirst),
    pushed: chosen.filter((now) => !isFirst(now) && isPushed(now)),
  };
}

function isLater(policy: TagPolicy, { tags, created }: PreviousSnapshot, now: TagSnapshot): boolean {
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
