import type { LaneState, StageLane } from './state.ts';

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

/** First what was run long ago, then what it takes to roll back what runs for the longest time. */
export function fitStages(lane: LaneState): void {
  while (bytesOf(lane.stages) > budgets.stages) {
    const stages = Object.values(lane.stages);
    for (const stage of stages) delete stage.lastPlan;
    if (!dropOldest(stages, ({ earlier }) => earlier?.at(-1)?.until, dropEarliest) && !dropOldest(stages, since, dropRunning))
      return;
  }
}

function since({ running }: StageLane): string | undefined {
  return running?.since;
}

function dropEarliest(stage: StageLane): void {
  stage.earlier = stage.earlier?.slice(0, -1) ?? [];
}

function dropRunning(stage: StageLane): void {
  delete stage.running;
}

/** @returns false where no stage has any */
function dropOldest(
  stages: readonly StageLane[],
  age: (stage: StageLane) => string | undefined,
  drop: (stage: StageLane) => void,
): boolean {
  let oldest: { stage: StageLane; at: string } | undefined;
  for (const stage of stages) {
    const at = age(stage);
    if (at !== undefined && (oldest === undefined || at < oldest.at)) oldest = { stage, at };
  }
  if (oldest !== undefined) drop(oldest.stage);
  return oldest !== undefined;
}
