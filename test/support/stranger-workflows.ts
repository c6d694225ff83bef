import { proxyActivities, setHandler } from '@temporalio/workflow';
import { stateQuery } from '../../src/contracts/messages.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';

/** Workflows of somebody who reaches Temporal, has a worker, and has no key of Landfall's. */

export interface StrangerStart {
  /** Of Landfall. */
  readonly taskQueue: string;
  readonly activity: string;
  readonly activityId?: string;
  readonly input: unknown;
}

/** Asks a worker of Landfall for one of its activities. */
export async function stranger({ taskQueue, activity, activityId, input }: StrangerStart): Promise<unknown> {
  const { [activity]: act } = proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>({
    ...{ taskQueue, startToCloseTimeout: '10s', retry: { maximumAttempts: 1 } },
    ...(activityId !== undefined && { activityId }),
  });
  return await act?.(input);
}

/** Took what was meant for a worker of Landfall, and answers for it. */
export async function rollout(): Promise<void> {
  setHandler(stateQuery, () => ({ status: 'delivered' }) as RolloutState);
}
