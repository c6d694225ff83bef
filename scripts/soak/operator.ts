import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { rejectUpdate, retryUpdate, stateQuery } from '../../src/contracts/messages.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { foreignFile } from './history.ts';
import type { Site } from './site.ts';

const lookEveryMs = 1_000;

/** Somebody who sits at the command: rejects what a check has found to be bad, and cleans up branches that others committed to. */
export interface Operator {
  /** What was decided, and how often. */
  readonly decisions: Readonly<Record<string, number>>;
  leave(): Promise<void>;
}

export function startOperator(site: Site, say: (line: string) => void): Operator {
  const decisions: Record<string, number> = {};
  let left = false;
  const work = (async () => {
    while (!left) {
      await pause(lookEveryMs);
      for (const workflowId of await blocked(site.temporal.client).catch(() => [])) {
        // Temporal or Landfall may be away, or the rollout decided meanwhile: it is looked at again in a second.
        const decided = await decide(site, workflowId).catch(() => undefined);
        if (decided === undefined) continue;
        decisions[decided] = (decisions[decided] ?? 0) + 1;
        say(`${workflowId}: ${decided}`);
      }
    }
  })();
  return {
    decisions,
    async leave() {
      left = true;
      await work;
    },
  };
}

async function blocked(client: Client): Promise<string[]> {
  const query = "ExecutionStatus = 'Running' AND LandfallStatus = 'blocked'";
  const found: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query })) found.push(workflowId);
  return found;
}

async function decide({ temporal, remote }: Site, workflowId: string): Promise<string | undefined> {
  const handle = temporal.client.workflow.getHandle(workflowId);
  const state: RolloutState = await handle.query(stateQuery);
  const step = state.steps.find(({ status }) => status === 'blocked');
  if (step === undefined) return undefined;
  const by = 'olga';
  if (step.step === 'scan' || step.step === 'smoke') {
    await handle.executeUpdate(rejectUpdate.name, { args: [{ by, step: step.step, reason: 'it is bad' }] });
    return `rejected at ${step.step}`;
  }
  const branches = (await remote.branches()).filter((name) => name.startsWith(`landfall/${state.service}-`));
  for (const branch of branches) {
    const isForeign = await remote.read(branch, foreignFile).catch(() => undefined);
    if (isForeign !== undefined) await remote.git('update-ref', '-d', `refs/heads/${branch}`);
  }
  const at = { step: step.step, ...(step.stage !== undefined && { stage: step.stage }) };
  await handle.executeUpdate(retryUpdate.name, { args: [{ by, ...at }] });
  return `retried at ${step.step} (${step.failure ?? 'no type'})`;
}
