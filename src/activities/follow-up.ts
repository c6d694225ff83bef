import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { FollowUpActivities } from '../contracts/activities/lane.ts';
import type { ResolveActivities } from '../contracts/activities/pushes.ts';
import { progressSignal } from '../contracts/messages.ts';
import { rollbackStartOptions, rolloutId, rolloutStartOptions, searchAttributes } from '../contracts/start-options.ts';
import { pushFor } from '../domain/image-push.ts';
import type { RolloutRun } from '../domain/lane/state.ts';
import { withStagesOf } from '../domain/plan.ts';
import { ifKnown } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';

const waitingRollouts = `WorkflowType = 'rollout' AND ExecutionStatus = 'Running' AND ${searchAttributes.status.name} = 'waiting'`;
const nudgedAtOnce = 20;

/** What workflows ask of Temporal itself. */
export function createFollowUps({
  client,
  plansFor,
}: Pick<Dependencies, 'client' | 'plansFor'>): FollowUpActivities & Pick<ResolveActivities, 'startRollouts'> {
  const { workflow: workflows } = client;
  return {
    /** Starts the rollouts of what a look-up found; those that run already go on, but for the one that asked and is about to end. */
    async startRollouts({ request: { plan, push, after, manual = false }, images }) {
      if (after !== undefined && images.some((image) => rolloutId(plan.service, image) === after.rollout)) {
        if (await isRunning(client, after)) throw new Error(`${after.rollout} asked for this look-up and has not ended yet`);
      }
      const starts = images.map((image) => {
        const reason = pushFor(push, image, after !== undefined);
        return rolloutStartOptions({ plan, image, push: reason, ...(manual && { manual }) });
      });
      const started = await Promise.all(starts.map((start) => workflows.start('rollout', start)));
      return started.map(({ workflowId }) => workflowId);
    },

    /** A second try finds what the first one started, even where that has ended already. */
    async startRollback(start) {
      const before = await ifKnown(workflows.getHandle(start.workflow).describe());
      if (before?.memo?.at !== start.at) await workflows.start('rollback', rollbackStartOptions(start));
    },

    /** By the configuration of now, as every rollout that begins; the lane knows the plan that brought the last image there. */
    async startPromotion(start) {
      const { plan: last, image } = start;
      const now = plansFor(image.repository, image.tag).find(({ service }) => service === last.service);
      const plan = (now && withStagesOf(now, last)) ?? last;
      await workflows.start('rollout', rolloutStartOptions({ ...start, plan }));
    },

    /** Rollouts that end meanwhile, or that the list does not show yet, look by themselves. */
    async nudgeWaiting(progress) {
      const waiting: RolloutRun[] = [];
      // None is begun before all of a batch are waited for: one that fails while the list goes on would fail with nobody listening.
      const nudgeAll = (runs: readonly RolloutRun[]) =>
        Promise.all(
          runs.map(({ rollout, runId }) => ifKnown(workflows.getHandle(rollout, runId).signal(progressSignal, progress))),
        );
      for await (const { workflowId, runId } of workflows.list({ query: waitingRollouts })) {
        waiting.push({ rollout: workflowId, runId });
        Context.current().heartbeat();
        if (waiting.length >= nudgedAtOnce) await nudgeAll(waiting.splice(0));
      }
      await nudgeAll(waiting);
    },

    /** Which of these runs have ended, or are unknown to Temporal. */
    async findEnded({ members }) {
      const running = await Promise.all(members.map((member) => isRunning(client, member)));
      return members.filter((_, index) => running[index] === false);
    },
  };
}

async function isRunning(client: Client, { rollout, runId }: RolloutRun): Promise<boolean> {
  const name = (await ifKnown(client.workflow.getHandle(rollout, runId).describe()))?.status.name;
  return name === 'RUNNING' || name === 'PAUSED';
}
