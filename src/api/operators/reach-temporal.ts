import type { Client } from '@temporalio/client';

/** Load balancers ask often and give up soon. */
const deadlineMs = 2_000;

/** Whether Temporal answers for our namespace. @returns a function that rejects if it does not */
export function createReachTemporal(client: Client): () => Promise<void> {
  const { namespace } = client.options;
  return async () => {
    await client.withDeadline(Date.now() + deadlineMs, () => client.workflowService.describeNamespace({ namespace }));
  };
}
