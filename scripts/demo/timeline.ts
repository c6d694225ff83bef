import { setTimeout as wait } from 'node:timers/promises';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { stateQuery } from '../../src/contracts/messages.ts';
import { ends, type RolloutState, type StepState } from '../../src/domain/rollout-state.ts';

export interface Followed {
  readonly name: string;
  readonly rollout: string;
}

const pollMs = 250;

/**
 * Shows what happens to rollouts, one line for each change of a step, until all of them have ended or wait for a person.
 * @returns their last states, in the order given
 * @throws where that takes longer than the deadline
 */
export async function followRollouts(
  client: Client,
  followed: readonly Followed[],
  options: {
    readonly deadlineMs: number;
    /** ISO 8601: a run that began before is an earlier one. */
    readonly notBefore?: string;
    readonly print: (line: string) => void;
  },
): Promise<RolloutState[]> {
  const startedAt = Date.now();
  const shown = new Map<string, string>();
  for (;;) {
    const found = await Promise.all(followed.map(({ rollout }) => stateOf(client, rollout)));
    const states = found.map((state) => (state && state.startedAt < (options.notBefore ?? '') ? undefined : state));
    for (const [index, state] of states.entries()) {
      const name = followed[index]?.name ?? '';
      for (const line of state === undefined ? [] : news(name, state, shown)) options.print(`${elapsed(startedAt)}  ${line}`);
    }
    const settled = states.filter((state) => state !== undefined && isSettled(state));
    if (settled.length === followed.length) return settled as RolloutState[];
    if (Date.now() - startedAt > options.deadlineMs) {
      throw new Error(
        `expected every rollout to settle within ${options.deadlineMs / 1000} s, found ${describe(followed, states)}`,
      );
    }
    await wait(pollMs);
  }
}

/** Undefined before the webhook has come, and while no worker can answer. */
async function stateOf(client: Client, rollout: string): Promise<RolloutState | undefined> {
  try {
    return await client.workflow.getHandle(rollout).query(stateQuery);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

function isSettled({ status }: RolloutState): boolean {
  return status === 'blocked' || ends.some((end) => end === status);
}

/** A line for each step whose status was not shown yet. */
function news(name: string, state: RolloutState, shown: Map<string, string>): string[] {
  const lines = state.steps.flatMap((step) => {
    const key = `${name}/${step.stage ?? ''}/${step.step}`;
    if (step.status === 'pending' || shown.get(key) === step.status) return [];
    shown.set(key, step.status);
    return [stepLine(name, step)];
  });
  if (!isSettled(state) || shown.get(name) === state.status) return lines;
  shown.set(name, state.status);
  return [
    ...lines,
    `${name.padEnd(8)}${state.status === 'blocked' ? '■' : '●'} ${state.status}: ${state.reason ?? 'it waits for a decision'}`,
  ];
}

const marks: Partial<Record<StepState['status'], string>> = {
  running: '…',
  passed: '✔',
  blocked: '✘',
  skipped: '-',
  stopped: '-',
};

function stepLine(name: string, step: StepState): string {
  const took = step.endedAt === undefined || step.startedAt === undefined ? '' : ` (${seconds(step.startedAt, step.endedAt)} s)`;
  const reason = step.status === 'running' || step.reason === undefined ? '' : `: ${step.reason}`;
  return `${name.padEnd(8)}${marks[step.status] ?? '·'} ${step.step} ${step.status}${took}${reason}`;
}

function seconds(from: string, to: string): string {
  return ((Date.parse(to) - Date.parse(from)) / 1000).toFixed(1);
}

function elapsed(startedAt: number): string {
  return `${((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)} s`;
}

function describe(followed: readonly Followed[], states: readonly (RolloutState | undefined)[]): string {
  return followed.map(({ name }, index) => `${name} ${states[index]?.status ?? 'not started'}`).join(', ');
}
