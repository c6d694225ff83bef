import { getExternalWorkflowHandle, log } from '@temporalio/workflow';
import {
  grantSignal,
  type PendingStart,
  type ProgressNote,
  progressSignal,
  type Supersession,
  supersedeSignal,
} from '../../contracts/messages.ts';
import { forget } from '../../domain/lane/members.ts';
import type { RolloutRun } from '../../domain/lane/run.ts';
import type { LaneState } from '../../domain/lane/state.ts';
import type { Grant } from '../../domain/lane/turns.ts';

export type LaneMessage =
  | { readonly grant: Grant }
  | { readonly superseding: Supersession }
  | { readonly progress: ProgressNote };
type AddressedMessage = RolloutRun & LaneMessage;

/** What a lane has to tell rollouts, and to start for operators. Update handlers only fill it, so that every update is answered at once. */
export class LaneOutbox {
  readonly #memory: LaneState;
  readonly #messages: AddressedMessage[] = [];
  /** Begun in this order; the first may be under way. */
  readonly pendingStarts: PendingStart[];

  constructor(memory: LaneState, pendingStarts: readonly PendingStart[]) {
    this.#memory = memory;
    this.pendingStarts = [...pendingStarts];
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  enqueue(rollout: string, message: LaneMessage): void {
    const runId = this.#memory.members[rollout]?.runId;
    if (runId !== undefined) this.#messages.push({ rollout, runId, ...message });
  }

  grantAll(grants: readonly Grant[]): void {
    for (const grant of grants) this.enqueue(grant.rollout, { grant });
  }

  /** They look again whether what they wait for is over. */
  nudge(rollouts: readonly string[], what: string): void {
    for (const rollout of rollouts) this.enqueue(rollout, { progress: { what } });
  }

  /** Sends all messages. A rollout that is gone is forgotten, which may add further ones. */
  async flush(): Promise<void> {
    for (let message = this.#messages.shift(); message !== undefined; message = this.#messages.shift()) {
      try {
        await send(message);
      } catch (error) {
        log.warn('a rollout is gone without having left its lane', { rollout: message.rollout, error });
        this.forgetRun(message);
      }
    }
  }

  forgetRun({ rollout, runId }: RolloutRun): void {
    if (this.#memory.members[rollout]?.runId === runId) this.grantAll(forget(this.#memory, rollout));
  }
}

async function send(message: AddressedMessage): Promise<void> {
  const rollout = getExternalWorkflowHandle(message.rollout, message.runId);
  if ('grant' in message) await rollout.signal(grantSignal, message.grant);
  else if ('progress' in message) await rollout.signal(progressSignal, message.progress);
  else await rollout.signal(supersedeSignal, message.superseding);
}
