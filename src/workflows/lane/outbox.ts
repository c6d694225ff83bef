import { getExternalWorkflowHandle, log } from '@temporalio/workflow';
import {
  grantSignal,
  type LaneErrand,
  type Progress,
  progressSignal,
  type Superseding,
  supersedeSignal,
} from '../../contracts/messages.ts';
import { forget } from '../../domain/lane/members.ts';
import type { LaneState, Run } from '../../domain/lane/state.ts';
import type { Grant } from '../../domain/lane/turns.ts';

/** What a letter says. */
export type Contents = { readonly grant: Grant } | { readonly superseding: Superseding } | { readonly progress: Progress };
type Letter = Run & Contents;

/** What a lane has to say to rollouts, and to start for operators. Handlers only write it, so that every update is answered at once. */
export class LanePost {
  readonly #memory: LaneState;
  readonly #letters: Letter[] = [];
  /** Begun in this order; the first may be under way. */
  readonly errands: LaneErrand[];

  constructor(memory: LaneState, errands: readonly LaneErrand[]) {
    this.#memory = memory;
    this.errands = [...errands];
  }

  get isEmpty(): boolean {
    return this.#letters.length === 0;
  }

  write(rollout: string, contents: Contents): void {
    const runId = this.#memory.members[rollout]?.runId;
    if (runId !== undefined) this.#letters.push({ rollout, runId, ...contents });
  }

  grantAll(grants: readonly Grant[]): void {
    for (const grant of grants) this.write(grant.rollout, { grant });
  }

  /** They look again whether what they wait for is over. */
  nudge(rollouts: readonly string[], what: string): void {
    for (const rollout of rollouts) this.write(rollout, { progress: { what } });
  }

  /** Sends what was written. A rollout that is gone is forgotten, which may write further letters. */
  async deliver(): Promise<void> {
    for (let letter = this.#letters.shift(); letter !== undefined; letter = this.#letters.shift()) {
      try {
        await send(letter);
      } catch (error) {
        log.warn('a rollout is gone without having left its lane', { rollout: letter.rollout, error });
        this.forgetRun(letter);
      }
    }
  }

  forgetRun({ rollout, runId }: Run): void {
    if (this.#memory.members[rollout]?.runId === runId) this.grantAll(forget(this.#memory, rollout));
  }
}

async function send(letter: Letter): Promise<void> {
  const rollout = getExternalWorkflowHandle(letter.rollout, letter.runId);
  if ('grant' in letter) await rollout.signal(grantSignal, letter.grant);
  else if ('progress' in letter) await rollout.signal(progressSignal, letter.progress);
  else await rollout.signal(supersedeSignal, letter.superseding);
}
