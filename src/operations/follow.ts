import { setTimeout as pause } from 'node:timers/promises';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { notifyId } from '../contracts/start-options.ts';
import type { RolloutState, RunState } from '../domain/rollout-state.ts';
import { type FollowOptions, follow } from './following.ts';
import { readRollout } from './rollouts.ts';

/** How often something of Temporal's is looked at until it has changed. */
export const pollMs = 250;

/** `follow`, straight against Temporal. */
export async function followRollouts<State extends RunState = RolloutState>(
  client: Client,
  rollouts: readonly string[],
  options: FollowOptions<State>,
): Promise<State[]> {
  const reader = { readRollout: (rollout: string) => readRollout(client, rollout), readEveryMs: pollMs };
  return await follow<State>(reader, rollouts, options);
}

/** Waits until people were told all that they are to be told of a rollout, or the time is over: a target may be away for long. */
export async function awaitNotices(client: Client, rollout: string, withinMs: number): Promise<void> {
  // In this order: a rollout with nothing left to do has handed its notices over.
  const isTelling = async () => (await hasWork(client, rollout)) || (await hasWork(client, notifyId(rollout)));
  for (const giveUpAt = Date.now() + withinMs; Date.now() < giveUpAt && (await isTelling()); ) await pause(pollMs);
}

async function hasWork(client: Client, workflow: string): Promise<boolean> {
  try {
    const { raw } = await client.workflow.getHandle(workflow).describe();
    return Boolean(raw.pendingWorkflowTask) || (raw.pendingActivities?.length ?? 0) > 0;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
