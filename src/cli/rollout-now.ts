import { type Client, QueryNotRegisteredError, type WorkflowExecutionDescription } from '@temporalio/client';
import type { RolloutState } from '../domain/rollout-state.ts';
import { stateQuery } from '../workflows/messages.ts';
import { answeredInTime, isUnanswered } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { statusOf } from './rollouts.ts';
import { noWorker } from './service-errors.ts';

/** What is known of a rollout at this moment: what it says itself, and what only Temporal knows. */
export interface RolloutNow {
  readonly runId: string;
  /** `running`, `completed`, or how Temporal ended it from outside. */
  readonly execution: string;
  readonly state: RolloutState;
  /** The steps that failed and are tried again. */
  readonly retries: readonly Retry[];
}

export interface Retry {
  /** Name of the step. */
  readonly step: string;
  /** The attempt that is under way or comes next, from 2. */
  readonly attempt: number;
  readonly lastFailure: string;
}

/** Long enough for a worker that has to replay the rollout first. */
const answerWithinMs = 10_000;

/**
 * A rollout that has ended left its state as its result; one that runs, or was ended from outside, is asked.
 * @throws WorkflowNotFoundError, and CommandFailure where no worker answers
 */
export async function readRollout(client: Client, rollout: string): Promise<RolloutNow> {
  const handle = client.workflow.getHandle(rollout);
  const description = await answeredInTime(client, answerWithinMs, () => handle.describe());
  const { name } = description.status;
  const { runId } = description;
  const known = { runId, execution: statusOf(name, name.toLowerCase()), retries: retriesIn(description) };
  if (name === 'COMPLETED') {
    return { ...known, state: (await answeredInTime(client, answerWithinMs, () => handle.result())) as RolloutState };
  }
  try {
    return { ...known, state: await answeredInTime(client, answerWithinMs, () => handle.query(stateQuery)) };
  } catch (error) {
    if (error instanceof QueryNotRegisteredError) {
      throw new CommandFailure(`${rollout} has not told its state yet: ask again in a moment`, 1, { cause: error });
    }
    if (isUnanswered(error)) throw new CommandFailure(noWorker, 1, { cause: error });
    throw error;
  }
}

/** Activities are named after the steps that they are. */
function retriesIn({ raw }: WorkflowExecutionDescription): Retry[] {
  return (raw.pendingActivities ?? []).flatMap(({ activityType, attempt, lastFailure }) =>
    lastFailure?.message ? [{ step: activityType?.name ?? '', attempt: attempt ?? 1, lastFailure: lastFailure.message }] : [],
  );
}
