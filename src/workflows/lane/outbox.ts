import type { SignalDefinition } from '@temporalio/common';
import { getExternalWorkflowHandle, log } from '@temporalio/workflow';
import { grantSignal, type LaneMessage, type LaneStart, type PendingStart, progressSignal } from '../../contracts/messages.ts';
import type { LaneState, RolloutRun } from '../../domain/lane/state.ts';
import { forget, type Grant } from '../../domain/lane/turns.ts';

/** What a lane has to tell rollouts, and to start for operators. Update handlers only fill it, so that every update is answered at once. */
export class LaneOutbox {
  readonly #memory: LaneState;
  /** To be sent in this order. */
  readonly messages: LaneMessage[];
  /** Begun in this order; the first may be under way. */
  readonly pendingStarts: PendingStart[];

  constructor(memory: LaneState, { messages = [], pendingStarts = [] }: Pick<LaneStart, 'messages' | 'pendingStarts'>) {
    this.#memory = memory;
    this.messages = [...messages];
    this.pendingStarts = [...pendingStarts];
  }

  areLeft(): boolean {
    return this.messages.length > 0;
  }

  enqueue<Message>(rollout: string, { name }: SignalDefinition<[Message]>, message: Message): void {
    const runId = this.#memory.members[rollout]?.runId;
    if (runId !== undefined) this.messages.push({ rollout, runId, signal: name, message });
  }

  grantAll(grants: readonly Grant[]): void {
    for (const grant of grants) this.enqueue(grant.rollout, grantSignal, grant);
  }

  /** They look again whether what they wait for is over. */
  nudge(rollouts: readonly string[], what: string): void {
    for (const rollout of rollouts) this.enqueue(rollout, progressSignal, { what });
  }

  /** A rollout that is gone is forgotten, which may add further messages. */
  async sendNext(): Promise<void> {
    const next = this.messages.shift();
    if (next === undefined) return;
    try {
      await getExternalWorkflowHandle(next.rollout, next.runId).signal(next.signal, next.message);
    } catch (error) {
      log.warn('a rollout is gone without having left its lane', { rollout: next.rollout, error });
      this.forgetRun(next);
    }
  }

  forgetRun({ rollout, runId }: RolloutRun): void {
    if (this.#memory.members[rollout]?.runId === runId) this.grantAll(forget(this.#memory, rollout));
  }
}
