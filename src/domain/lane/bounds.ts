import type { Digest } from '../image-reference.ts';
import type { LaneState, Quarantine } from './state.ts';

/**
 * How much a lane remembers. What a workflow hands on may have 2 MiB; the budgets make less than one together, in bytes of JSON, so that an
 * answer which carries the whole lane fits as well. Each part is kept within its own: plans never push out verdicts.
 */
export const budgets = {
  verdicts: 220 * 1024,
  newest: 120 * 1024,
  quarantine: 120 * 1024,
  members: 180 * 1024,
  stages: 300 * 1024,
  delivered: 60 * 1024,
} as const;

/** Of a reason or a name, in characters. */
export const longestReason = 500;
const mostQuarantined = 500;
const encoder = new TextEncoder();

export function bytesOf(value: unknown): number {
  return encoder.encode(JSON.stringify(value) ?? '').length;
}

/** Forgets the oldest, keys being in the order in which they came. */
export function keepNewest(entries: Record<string, unknown>, most: number, mostBytes: number): void {
  const keys = Object.keys(entries);
  for (const key of keys.splice(0, Math.max(0, keys.length - most))) delete entries[key];
  let excess = bytesOf(entries) - mostBytes;
  for (const key of keys) {
    if (excess <= 0) return;
    excess -= bytesOf({ [key]: entries[key] });
    delete entries[key];
  }
}

/** These never go out again by themselves. @param digests what was pushed and, last, the index that it is part of, if it is part of one */
export function quarantine(lane: LaneState, digests: readonly Digest[], entry: Quarantine): void {
  const index = digests.at(-1);
  for (const digest of new Set(digests)) {
    lane.quarantine[digest] ??= { ...entry, ...(index !== undefined && index !== digest && { of: index }) };
  }
  keepNewest(lane.quarantine, mostQuarantined, budgets.quarantine);
}
