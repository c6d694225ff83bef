import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { stateQuery } from '../contracts/messages.ts';
import { searchAttributes } from '../contracts/start-options.ts';
import type { OpenRollout } from '../domain/open-rollout.ts';
import { isApprovalAsked, type RolloutStatus, rolloutStatuses } from '../domain/rollout-state.ts';
import { ofRollouts } from './rollouts.ts';
import { answered, answeredEach } from './temporal-calls.ts';

const withinMs = 2_000;
const most = 5_000;
/** Asked at once, and remembered until something changes: what else waits is seen the next time. */
const mostAsked = 50;
const openQuery = `${ofRollouts} AND ExecutionStatus = 'Running'`;

/**
 * All that have not ended, by one list of Temporal's. What one waits for is no column: whether for an approval, it is asked itself, once for
 * each time that its columns change.
 * @returns a function that rejects while Temporal does not answer
 */
export function createOpenRollouts(client: Client): () => Promise<readonly OpenRollout[]> {
  let known = new Map<string, boolean>();
  return async () => {
    const rows: OpenRow[] = [];
    const list = client.workflow.list({ query: openQuery, pageSize: 1_000 });
    for await (const info of answeredEach(client, withinMs, list)) {
      rows.push(rowOf(info));
      if (rows.length >= most) break;
    }
    const waiting = rows.filter(({ status, isBuild }) => status === 'waiting' && !isBuild);
    const asked = waiting.filter(({ key }) => !known.has(key)).slice(0, mostAsked);
    const answers = await Promise.all(
      asked.map(async ({ key, rollout }) => [key, await waitsForApproval(client, rollout)] as const),
    );
    const found = new Map([...known, ...answers.flatMap(([key, is]) => (is === undefined ? [] : [[key, is] as const]))]);
    known = new Map(waiting.flatMap(({ key }) => (found.has(key) ? [[key, found.get(key) === true] as const] : [])));
    return rows.map(({ key, rollout: _, ...row }) => {
      const decision = row.status === 'blocked' ? ('blocked' as const) : known.get(key) ? ('approval' as const) : undefined;
      return { ...row, ...(decision !== undefined && { decision }) };
    });
  };
}

type OpenRow = ReturnType<typeof rowOf>;

function rowOf({ workflowId, runId, type, typedSearchAttributes: columns, startTime }: WorkflowExecutionInfo) {
  const said = columns.get(searchAttributes.status);
  const status: RolloutStatus = rolloutStatuses.find((known) => known === said) ?? 'running';
  const since = (columns.get(searchAttributes.changedAt) ?? startTime).toISOString();
  const service = columns.get(searchAttributes.service) ?? '';
  return { rollout: workflowId, key: `${runId} ${since}`, service, isBuild: type === 'build', status, since };
}

/** Undefined where no worker answers: it is asked again. */
async function waitsForApproval(client: Client, rollout: string): Promise<boolean | undefined> {
  try {
    const { steps } = await answered(client, withinMs, () => client.workflow.getHandle(rollout).query(stateQuery));
    return steps.some(isApprovalAsked);
  } catch {
    return undefined;
  }
}
