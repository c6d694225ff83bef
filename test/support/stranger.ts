import { Client, type WorkflowHandle } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { TestNamespace } from './temporal.ts';
import { type TestWorkers, workflowBundle } from './worker.ts';

/** Where the workflows of strangers are done. */
export const strangerQueue = 'of-a-stranger';

/** Somebody who reaches Temporal and has no key: Temporal's own client, and payloads as they are in histories. */
export function strangerOf({ client: { connection }, namespace }: Pick<TestNamespace, 'client' | 'namespace'>) {
  const client = new Client({ connection, namespace });
  const { workflowService } = client;
  return {
    client,
    /** @returns the handle of what was started */
    async start(type: string, workflowId: string, taskQueue: string, payload: Payload): Promise<WorkflowHandle> {
      await workflowService.startWorkflowExecution({
        ...{ namespace, workflowId, requestId: `${type} ${workflowId}` },
        ...{ workflowType: { name: type }, taskQueue: { name: taskQueue }, input: { payloads: [payload] } },
      });
      return client.workflow.getHandle(workflowId);
    },
    /** @returns why it was refused; undefined if it was taken */
    async update(workflowId: string, name: string, updateId: string, payload: Payload): Promise<string | undefined> {
      const { outcome } = await workflowService.updateWorkflowExecution({
        ...{ namespace, workflowExecution: { workflowId }, waitPolicy: { lifecycleStage: 3 } },
        request: { meta: { updateId }, input: { name, args: { payloads: [payload] } } },
      });
      return outcome?.failure?.message ?? undefined;
    },
  };
}

/** @param stolen taken from a history, and sent in the place of what activities are asked for */
export async function startStrangerWorker(
  { address, namespace }: Pick<TestNamespace, 'address' | 'namespace'>,
  stolen?: () => Payload | undefined,
): Promise<TestWorkers> {
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    ...{ connection, namespace, taskQueue: strangerQueue },
    workflowBundle: await workflowBundle('test/support/stranger-workflows.ts', []),
    dataConverter: {
      payloadCodecs: [
        {
          encode: async (payloads, context) => {
            const other = context?.type === 'activity' ? stolen?.() : undefined;
            return other === undefined ? payloads : [other];
          },
          decode: async (payloads) => payloads,
        },
      ],
    },
  });
  const running = worker.run();
  return {
    async stop() {
      worker.shutdown();
      await running;
      await connection.close();
    },
  };
}
