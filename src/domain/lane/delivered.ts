import type { Digest } from '../image-reference.ts';
import type { ImageIdentity } from '../outcomes.ts';
import { budgets, bytesOf } from './bounds.ts';
import type { Delivered, LaneState } from './state.ts';

/** What has gone out to each stage, so that it can be brought there again: also what was rolled back since. */

const mostDelivered = 50;

/** @param at when it went out, ISO 8601, UTC */
export function noteDelivered(lane: LaneState, stage: string, { repository, tag, digest }: ImageIdentity, at: string): void {
  const others = deliveredTo(lane, stage).filter((other) => other.digest !== digest);
  lane.delivered = { ...lane.delivered, [stage]: [{ repository, tag, digest, at }, ...others].slice(0, mostDelivered) };
  fitDelivered(lane.delivered);
}

/** Whichever went out longest ago, in whatever stage, is forgotten first; what a stage got last is kept. */
function fitDelivered(stages: Record<string, Delivered[]>): void {
  let excess = bytesOf(stages) - budgets.delivered;
  while (excess > 0) {
    const [oldest] = Object.values(stages)
      .filter(({ length }) => length > 1)
      .sort((a, b) => ageOf(a).localeCompare(ageOf(b)));
    if (oldest === undefined) return;
    excess -= bytesOf(oldest.pop());
  }
}

function ageOf(delivered: readonly Delivered[]): string {
  return delivered.at(-1)?.at ?? '';
}

export function isNotedDelivered(lane: LaneState, stage: string, digest: Digest): boolean {
  return deliveredTo(lane, stage).some((one) => one.digest === digest);
}

/** A stage may have the name of what every object has. */
function deliveredTo({ delivered }: LaneState, stage: string): readonly Delivered[] {
  return Object.hasOwn(delivered, stage) ? (delivered[stage] ?? []) : [];
}
