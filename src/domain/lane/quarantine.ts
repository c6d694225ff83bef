import type { Digest } from '../image-reference.ts';
import { budgets, keepNewest } from './bounds.ts';
import type { LaneState, Quarantine } from './state.ts';

/** What never goes out again by itself. */

const mostQuarantined = 500;

/** @param digests what was pushed and, last, the index that it is part of, where it is part of one */
export function quarantine(lane: LaneState, digests: readonly Digest[], entry: Quarantine): void {
  const index = digests.at(-1);
  for (const digest of new Set(digests)) {
    if (lane.quarantine[digest] !== undefined) continue;
    lane.quarantine[digest] = { ...entry, ...(index !== undefined && index !== digest && { of: index }) };
  }
  keepNewest(lane.quarantine, mostQuarantined, budgets.quarantine);
}

/** The digest, its index, and what else was pushed of that index go out again; that they ended badly once is forgotten. */
export function unquarantine(lane: LaneState, digest: Digest): void {
  const index = lane.quarantine[digest]?.of ?? digest;
  const freed = Object.entries(lane.quarantine).flatMap(([known, { of }]) => (known === index || of === index ? [known] : []));
  for (const known of freed) delete lane.quarantine[known];
  for (const [key, { end, digest: verdictOf }] of Object.entries(lane.verdicts)) {
    if ((end === 'rejected' || end === 'rolled-back') && freed.includes(verdictOf)) delete lane.verdicts[key];
  }
}
