import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type { Activities } from '../../src/contracts/activities/index.ts';
import { deployQueue, taskQueues } from '../../src/contracts/start-options.ts';
import { auditSinks } from '../../src/process/workers.ts';
import type { TestTemporal } from './temporal.ts';

Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { forward: {}, filter: 'ERROR' } } });

let bundle: ReturnType<typeof bundleWorkflowCode> | undefined;

/** The workflow bundle is made once for all tests of a process. */
export function workflowBundle(): ReturnType<typeof bundleWorkflowCode> {
  bundle ??= bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url)),
    logger: new DefaultLogger('ERROR'),
  });
  return bundle;
}

export interface TestWorkers {
  stop(): Promise<void>;
}

/** Workers for all task queues, as worker.ts runs them, with these activities. */
export async function startWorkers(
  temporal: TestTemporal,
  activities: Activities,
  options: { maxCachedWorkflows?: number } = {},
): Promise<TestWorkers> {
  const connection = await NativeConnection.connect({ address: temporal.address });
  const workflowBundleCode = await workflowBundle();
  const create = (taskQueue: string, workflows: boolean): Promise<Worker> =>
    Worker.create({
      connection,
      taskQueue,
      activities,
      sinks: auditSinks(() => undefined),
      maxHeartbeatThrottleInterval: '3s',
      shutdownGraceTime: '1s',
      shutdownForceTime: '5s',
      ...options,
      ...(workflows && { workflowBundle: workflowBundleCode }),
    });
  const workers = await Promise.all([
    create(taskQueues.main, true),
    create(taskQueues.lanes, true),
    create(taskQueues.docker, false),
    create(deployQueue(), false),
  ]);
  const running = workers.map((worker) => worker.run());
  return {
    async stop() {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.all(running);
      await connection.close();
    },
  };
}
