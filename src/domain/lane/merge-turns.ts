import type { RolloutRun } from './state.ts';

/** Who merges into one base branch: first come, first served. All of it is answered alike when repeated. */

export interface MergeTurns {
  holder?: RolloutRun;
  waiting: RolloutRun[];
}

/** @returns whom they wait behind (absent: the turn is theirs), and who else has the turn now and did not have it before */
export function takeMergeTurn(turns: MergeTurns, run: RolloutRun): { behind?: string; next?: RolloutRun } {
  if (isSame(turns.holder, run)) return {};
  // An earlier run of the same rollout is dead.
  if (turns.holder?.rollout === run.rollout) delete turns.holder;
  turns.waiting = turns.waiting.filter((other) => other.rollout !== run.rollout || isSame(other, run));
  if (!turns.waiting.some((other) => isSame(other, run))) turns.waiting.push(run);
  const next = advance(turns);
  if (turns.holder === undefined || isSame(turns.holder, run)) return {};
  return { behind: turns.holder.rollout, ...(next !== undefined && { next }) };
}

/** @returns who has the turn now and did not have it before */
export function leaveMergeTurns(turns: MergeTurns, run: RolloutRun): RolloutRun | undefined {
  turns.waiting = turns.waiting.filter((other) => !isSame(other, run));
  if (isSame(turns.holder, run)) delete turns.holder;
  return advance(turns);
}

function advance(turns: MergeTurns): RolloutRun | undefined {
  if (turns.holder !== undefined) return undefined;
  const next = turns.waiting.shift();
  if (next !== undefined) turns.holder = next;
  return next;
}

function isSame(a: RolloutRun | undefined, b: RolloutRun): boolean {
  return a?.rollout === b.rollout && a.runId === b.runId;
}
