import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { FollowUpActivities } from '../contracts/activities/lane.ts';
import type { ResolveActivities } from '../contracts/activities/pushes.ts';
import {
  type ProgressNote,
  progressSignal,
  type ResolveRequest,
  type RollbackStart,
  type RolloutStart,
} from '../contracts/messages.ts';
import { rollbackStartOptions, rolloutId, rolloutStartOptions, searchAttributes } from '../contracts/start-options.ts';
import type { RolloutRun } from '../domain/lane/run.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';

const waitingRollouts = `WorkflowType = 'rollout' AND ExecutionStatus = 'Running' AND ${searchAttributes.status.name} = 'waiting'`;
const nudgedAtOnce = 20;

/** What workflows ask of Temporal itself. */
export function createFollowUps({ client }: { client: Client }): FollowUpActivities & Pick<ResolveActivities, 'startRollouts'> {
  return {
    /** Starts the rollouts of what a look-up found; those that run already go on, but for the one that asked and is about to end. */
    async startRollouts({ request, images }: { request: ResolveRequest; images: readonly ImageIdentity[] }): Promise<string[]> {
      const { plan, push, after, manual = false } = request;
      if (after !== undefined && images.some((image) => rolloutId(plan.service, image) === after.rollout)) {
        if (await isRunning(client, after)) throw new Error(`${after.rollout} asked for this look-up and has not ended yet`);
      }
      const start = async (image: ImageIdentity) =>
        client.workflow.start('rollout', rolloutStartOptions({ plan, image, push, ...(manual && { manual }) }));
      return (await Promise.all(images.map(start))).map(({ workflowId }) => workflowId);
    },

    /** A second try finds what the first one started, even where that has ended already. */
    async startRollback(start: RollbackStart & { readonly workflow: string }): Promise<void> {
      if (await wasStarted(client, start)) return;
      await client.workflow.start('rollback', rollbackStartOptions(start));
    },

    async startPromotion(start: RolloutStart): Promise<void> {
      await client.workflow.start('rollout', rolloutStartOptions(start));
    },

    /** Rollouts that end meanwhile, or that the list does not show yet, look by themselves. */
    async nudgeWaiting(progress: ProgressNote): Promise<void> {
      const waiting: RolloutRun[] = [];
      // None is begun before all of a batch are waited for: one that fails while the list goes on would fail with nobody listening.
      const nudgeAll = (runs: readonly RolloutRun[]) => Promise.all(runs.map((run) => nudge(client, run, progress)));
      for await (const { workflowId, runId } of client.workflow.list({ query: waitingRollouts })) {
        waiting.push({ rollout: workflowId, runId });
        Context.current().heartbeat();
        if (waiting.length >= nudgedAtOnce) await nudgeAll(waiting.splice(0));
      }
      await nudgeAll(waiting);
    },

    /** Which of these runs have ended, or are unknown to Temporal. */
    async findEnded({ members }: { members: readonly RolloutRun[] }): Promise<RolloutRun[]> {
      const running = await Promise.all(members.map((member) => isRunning(client, member)));
      return members.filter((_, index) => running[index] === false);
    },
  };
}

async function isRunning(client: Client, { rollout, runId }: RolloutRun): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(rollout, runId).describe();
    return status.name === 'RUNNING' || status.name === 'PAUSED';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

async function wasStarted(client: Client, { workflow, at }: RollbackStart & { readonly workflow: string }): Promise<boolean> {
  try {
    return (await client.workflow.getHandle(workflow).describe()).memo?.at === at;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

async function nudge(client: Client, { rollout, runId }: RolloutRun, progress: ProgressNote): Promise<void> {
  try {
    await client.workflow.getHandle(rollout, runId).signal(progressSignal, progress);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
