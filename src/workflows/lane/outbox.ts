import type { SignalDefinition } from '@temporalio/common';
import { type ExternalWorkflowHandle, getExternalWorkflowHandle, log } from '@temporalio/workflow';
import { grantSignal, type PendingStart, progressSignal } from '../../contracts/messages.ts';
import { forget } from '../../domain/lane/members.ts';
import type { RolloutRun } from '../../domain/lane/run.ts';
import type { LaneState } from '../../domain/lane/state.ts';
import type { Grant } from '../../domain/lane/turns.ts';

interface AddressedMessage extends RolloutRun {
  send(rollout: ExternalWorkflowHandle): Promise<void>;
}

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

  enqueue<Message>(rollout: string, signal: SignalDefinition<[Message]>, message: Message): void {
    const runId = this.#memory.members[rollout]?.runId;
    if (runId !== undefined) this.#messages.push({ rollout, runId, send: (handle) => handle.signal(signal, message) });
  }

  grantAll(grants: readonly Grant[]): void {
    for (const grant of grants) this.enqueue(grant.rollout, grantSignal, grant);
  }

  /** They look again whether what they wait for is over. */
  nudge(rollouts: readonly string[], what: string): void {
    for (const rollout of rollouts) this.enqueue(rollout, progressSignal, { what });
  }

  /** Sends all messages. A rollout that is gone is forgotten, which may add further ones. */
  async flush(): Promise<void> {
    for (let message = this.#messages.shift(); message !== undefined; message = this.#messages.shift()) {
      try {
        await message.send(getExternalWorkflowHandle(message.rollout, message.runId));
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
