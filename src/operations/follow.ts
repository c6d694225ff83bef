import { setTimeout as pause } from 'node:timers/promises';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { stateQuery } from '../contracts/messages.ts';
import { notifyId } from '../contracts/start-options.ts';
import { isSettled, type RolloutState } from '../domain/rollout-state.ts';
import { OperationError, Unreachable } from './errors.ts';
import { readRollout } from './rollouts.ts';

const pollMs = 250;

/**
 * Follows rollouts until each of them has ended, or waits for an operator's decision.
 * @param rollouts their ids; they need not have started yet
 * @returns their last states, in the order given
 * @throws Unreachable where that takes longer than the deadline, with what each of them waits for
 */
export async function followRollouts(
  client: Client,
  rollouts: readonly string[],
  options: {
    readonly deadlineMs: number;
    /** ISO 8601: a run that began before is an earlier one. */
    readonly notBefore?: string;
    readonly signal?: AbortSignal;
    /** Is told of each state that was seen, changed or not. */
    readonly seen: (state: RolloutState) => void;
  },
): Promise<RolloutState[]> {
  const { deadlineMs, notBefore = '', signal, seen } = options;
  const giveUpAt = Date.now() + deadlineMs;
  for (;;) {
    const found = await Promise.all(rollouts.map((rollout) => stateOf(client, rollout)));
    const states = found.map((state) => (state && state.startedAt < notBefore ? undefined : state));
    for (const state of states) if (state !== undefined) seen(state);
    const settled = states.filter((state) => state !== undefined && isSettled(state));
    if (settled.length === rollouts.length) return settled as RolloutState[];
    if (Date.now() > giveUpAt) {
      const waiting = await Promise.all(rollouts.map((rollout) => standing(client, rollout)));
      throw new Unreachable(`expected an end, or a question, within ${deadlineMs / 1000} s, found ${waiting.join(', ')}`);
    }
    await pause(pollMs, undefined, signal && { signal });
  }
}

/** Undefined before it has started, and while no worker can answer. */
async function stateOf(client: Client, rollout: string): Promise<RolloutState | undefined> {
  try {
    return await client.workflow.getHandle(rollout).query(stateQuery);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** What a rollout is at, and why it does not go on: `rollout:web:… running at verify (attempt 3: no route to host)`. */
async function standing(client: Client, rollout: string): Promise<string> {
  try {
    const { state, retries } = await readRollout(client, rollout);
    const current = state.steps.findLast(({ status }) => status === 'running' || status === 'waiting');
    const [retry] = retries;
    const why = retry === undefined ? current?.reason : `attempt ${retry.attempt}: ${retry.lastFailure}`;
    const step = current && ` at ${current.step}${why === undefined ? '' : ` (${why})`}`;
    return `${rollout} ${state.status}${step ?? ''}`;
  } catch (error) {
    if (error instanceof OperationError) return `${rollout} not started`;
    throw error;
  }
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
