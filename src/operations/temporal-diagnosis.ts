import type { Client } from '@temporalio/client';
import { taskQueues } from '../contracts/start-options.ts';
import { type Diagnosed, type Diagnosis, diagnose, fine } from '../domain/diagnosis.ts';
import type { Environment } from '../domain/environment.ts';
import { withClient } from './connection.ts';
import { readOverview } from './overview.ts';
import { answered, answerWithinMs } from './temporal-calls.ts';

const withinMs = 30_000;

/** Whether Temporal is where the file and the environment say, whether the key fits, and whether somebody works. Changes nothing. */
export async function diagnoseTemporal(file: string, env: Environment): Promise<Diagnosis[]> {
  let works: Diagnosed | undefined;
  const temporal = await diagnose('Temporal', withinMs, () =>
    withClient(file, env, async (client, { address, namespace, from }) => {
      const described = await answered(client, answerWithinMs, () => client.workflowService.describeNamespace({ namespace }));
      works = await workersOf(client, namespace);
      return fine(`${address}, namespace ${described.namespaceInfo?.name ?? namespace} (${from})`);
    }),
  );
  return works === undefined ? [temporal] : [temporal, { what: 'workers', ...works }];
}

/** `TASK_QUEUE_TYPE_WORKFLOW` of Temporal's API. */
const ofWorkflows = 1;
/** A worker asks for work again at least every minute. */
const freshMs = 70_000;
const queues = [taskQueues.main, taskQueues.lanes];

async function workersOf(client: Client, namespace: string): Promise<Diagnosed> {
  const { services } = await readOverview(client);
  // Temporal remembers for minutes who has asked for work: an answer counts for more.
  const isThere =
    services.length > 0
      ? services.some(({ problem }) => problem === undefined)
      : (await Promise.all(queues.map((queue) => isPolled(client, namespace, queue)))).every(Boolean);
  if (isThere) return fine('there');
  return {
    verdict: 'problem',
    text: 'none is there, so nothing goes on: start Landfall with the role worker (LANDFALL_ROLES), and see its log',
  };
}

async function isPolled(client: Client, namespace: string, name: string): Promise<boolean> {
  const request = { namespace, taskQueue: { name }, taskQueueType: ofWorkflows };
  const { pollers } = await answered(client, answerWithinMs, () => client.workflowService.describeTaskQueue(request));
  const since = Date.now() - freshMs;
  return (pollers ?? []).some(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1000 > since);
}
