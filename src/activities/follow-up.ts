import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Run } from '../domain/lane/state.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';
import type { LookUp } from '../workflows/messages.ts';
import { rolloutId, rolloutStartOptions } from '../workflows/start-options.ts';

/** What workflows ask of Temporal itself. */
export function createFollowUps({ client }: { client: Client }) {
  return {
    /** Starts the rollouts of what a look-up found; those that run already go on, but for the one that asked and is about to end. */
    async startRollouts({ lookUp, images }: { lookUp: LookUp; images: readonly ImageIdentity[] }): Promise<string[]> {
      const { plan, push, after, asked = false } = lookUp;
      if (after !== undefined && images.some((image) => rolloutId(plan.service, image) === after.rollout)) {
        if (await isRunning(client, after)) throw new Error(`${after.rollout} asked for this look-up and has not ended yet`);
      }
      const started = images.map((image) =>
        client.workflow.start('rollout', rolloutStartOptions({ plan, image, push, ...(asked && { asked }) })),
      );
      return (await Promise.all(started)).map(({ workflowId }) => workflowId);
    },

    /** Which of these runs have ended, or are unknown to Temporal. */
    async findEnded({ members }: { members: readonly Run[] }): Promise<Run[]> {
      const running = await Promise.all(members.map((member) => isRunning(client, member)));
      return members.filter((_, index) => running[index] === false);
    },
  };
}

async function isRunning(client: Client, { rollout, runId }: Run): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(rollout, runId).describe();
    return status.name === 'RUNNING' || status.name === 'PAUSED';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
