import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { FailureType } from '../../domain/failures.ts';
import type { RolloutState } from '../../domain/rollout-state.ts';

/**
 * Whether a webhook, or a person, has already started the rollout of a tag that a search found.
 * @param id of the rollout
 * @param since milliseconds since 1970: what ended before that does not count
 */
export async function rolloutStatus(client: Client, id: string, since: number): Promise<'missed' | 'running' | 'over'> {
  try {
    const { closeTime, runId, status } = await client.workflow.getHandle(id).describe();
    if (closeTime === undefined) return 'running';
    if (closeTime.getTime() < since) return 'missed';
    return status.name === 'COMPLETED' && (await wasNotInRegistry(client, id, runId)) ? 'missed' : 'over';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'missed';
    throw error;
  }
}

/** It was rejected because the registry did not have it, or a part of it; but the search has just found it there. */
async function wasNotInRegistry(client: Client, id: string, runId: string): Promise<boolean> {
  const ended: Partial<RolloutState> | null = await client.workflow.getHandle(id, runId, { followRuns: false }).result();
  const missing: FailureType = 'NotInRegistry';
  return ended?.status === 'rejected' && ended.steps?.some(({ failure }) => failure === missing) === true;
}
