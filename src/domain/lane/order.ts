import { compareCandidates, type TagPolicy } from '../tag-policy.ts';
import type { LaneMember, LanePosition } from './state.ts';

/** Whether `a` goes before `b`: by the tag policy where it orders them, else by when the registry said so. */
export function isLater(policy: TagPolicy, a: LanePosition, b: LanePosition): boolean {
  if (a.digest === b.digest) return false;
  // An operator who names a digest knows what its tag points to, so that is older than the order, unless it is asked for in its turn.
  if (b.instead === a.digest && !a.manual) return false;
  if (a.instead === b.digest && !b.manual) return true;
  const order = a.manual || b.manual ? 0 : compareCandidates(policy, a, b);
  return order === 0 ? a.sequence > b.sequence : order > 0;
}

/** A rollout that is not verified yet stands before every verified one, as far as time decides. */
export function positionOf(rollout: string, { position, tag, digest, manual }: LaneMember): LanePosition {
  return position ?? { rollout, tag, digest, manual, sequence: 0 };
}
