import { compareCandidates, type TagPolicy } from '../tag-policy.ts';
import type { Member, Standing } from './state.ts';

/** Whether `a` goes before `b`: by the tag policy where it orders them, else by when the registry said so. */
export function isLater(policy: TagPolicy, a: Standing, b: Standing): boolean {
  if (a.digest === b.digest) return false;
  // An operator who names a digest knows what its tag points to, so that is older than the order, unless it is asked for in its turn.
  if (b.instead === a.digest && !a.asked) return false;
  if (a.instead === b.digest && !b.asked) return true;
  const order = a.asked || b.asked ? 0 : compareCandidates(policy, a, b);
  return order === 0 ? a.sequence > b.sequence : order > 0;
}

/** A rollout that is not verified yet stands before every verified one, as far as time decides. */
export function standingOf(rollout: string, { standing, tag, digest, asked }: Member): Standing {
  return standing ?? { rollout, tag, digest, asked, sequence: 0 };
}
