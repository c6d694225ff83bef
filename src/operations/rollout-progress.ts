import type { Client } from '@temporalio/client';
import { currentStep, type RunState, type StepState } from '../domain/rollout-state.ts';
import { OperationError } from './errors.ts';
import { isOpen, type Retry, type RolloutRow, readRollout } from './rollouts.ts';

/** Of a row that has not ended: what Temporal's columns do not tell, but the rollout itself does. */
export interface RolloutProgress {
  readonly step?: string;
  /** ISO 8601: since when it is at that step. */
  readonly since?: string;
  /** Nobody answered for it: no worker is there, or it has its hands full. */
  readonly unanswered?: true;
}

const askWithinMs = 3_000;
/** More than a page of them would keep one worker busy for seconds. */
const mostAsked = 100;

/** The same rows; those that have not ended say which step they are at, and what they wait for or stumble over. */
export async function withProgress(client: Client, rows: readonly RolloutRow[]): Promise<(RolloutRow & RolloutProgress)[]> {
  let asked = 0;
  return await Promise.all(
    rows.map(async (row) => {
      if (!isOpen(row)) return row;
      asked += 1;
      return asked > mostAsked ? row : { ...row, ...(await progressOf(client, row)) };
    }),
  );
}

async function progressOf(client: Client, { rollout }: RolloutRow): Promise<RolloutProgress & { readonly reason?: string }> {
  try {
    const { state, retries } = await readRollout(client, rollout, askWithinMs);
    const current = currentStep(state);
    const reason = reasonNow(state, current, retries);
    return {
      ...(current !== undefined && { step: current.step }),
      ...(current?.stage !== undefined && { stage: current.stage }),
      ...(current?.startedAt !== undefined && { since: current.startedAt }),
      ...(reason !== undefined && { reason }),
    };
  } catch (error) {
    if (error instanceof OperationError) return { unanswered: true };
    throw error;
  }
}

/** What it stumbles over, else what it waits for. */
function reasonNow({ reason }: RunState, current: StepState | undefined, retries: readonly Retry[]): string | undefined {
  const [retry] = current?.status === 'blocked' ? [] : retries;
  if (retry === undefined) return reason ?? current?.reason;
  return retry.attempt > 1 ? `attempt ${retry.attempt}: ${retry.lastFailure}` : retry.lastFailure;
}
