import { type Client, QueryNotRegisteredError, type WorkflowExecutionDescription } from '@temporalio/client';
import { stateQuery } from '../contracts/messages.ts';
import type { RolloutState } from '../domain/rollout-state.ts';
import { answered, answerWithinMs } from './answered.ts';
import { Unreachable } from './errors.ts';
import { statusOf } from './rollouts.ts';

/** What is known of a rollout at this moment: what it says itself, and what only Temporal knows. */
export interface RolloutNow {
  readonly runId: string;
  /** `running`, `completed`, or how Temporal ended it from outside. */
  readonly execution: string;
  readonly state: RolloutState;
  /** The steps that failed and are tried again, and those that no worker has taken. */
  readonly retries: readonly Retry[];
}

export interface Retry {
  /** Its step, or the name of the activity that is a part of one. */
  readonly step: string;
  /** The attempt that is under way or comes next: 1 only where no worker has taken it yet. */
  readonly attempt: number;
  readonly lastFailure: string;
}

/**
 * A rollout that has ended left its state as its result; one that runs, or was ended from outside, is asked.
 * @throws NotFound, and Unreachable where no worker answers
 */
export async function readRollout(client: Client, rollout: string): Promise<RolloutNow> {
  const handle = client.workflow.getHandle(rollout);
  const description = await answered(client, answerWithinMs, () => handle.describe());
  const { name } = description.status;
  const { runId } = description;
  const known = { runId, execution: statusOf(name, name.toLowerCase()), retries: retriesIn(description) };
  if (name === 'COMPLETED') {
    return { ...known, state: (await answered(client, answerWithinMs, () => handle.result())) as RolloutState };
  }
  try {
    return { ...known, state: await answered(client, answerWithinMs, () => handle.query(stateQuery)) };
  } catch (error) {
    if (error instanceof QueryNotRegisteredError) {
      throw new Unreachable(`${rollout} has not told its state yet: ask again in a moment`, { cause: error });
    }
    throw error;
  }
}

/** A worker takes a step within a moment, unless there is none, or it has its hands full. */
const takenWithinMs = 5_000;
const notTaken =
  'no worker has taken it yet: see that a Landfall runs that serves it (LANDFALL_ROLES there, and LANDFALL_HOSTS for what is on a host)';
/** `PENDING_ACTIVITY_STATE_SCHEDULED` of Temporal's API. */
const scheduled = 1;

function retriesIn({ raw }: WorkflowExecutionDescription): Retry[] {
  return (raw.pendingActivities ?? []).flatMap((pending) => {
    const { activityType, attempt, lastFailure, state, scheduledTime, lastStartedTime } = pending;
    const step = activityType?.name?.replace(/^check:/, '') ?? '';
    if (lastFailure?.message) return [{ step, attempt: attempt ?? 1, lastFailure: lastFailure.message }];
    const waitsMs = Date.now() - Number(scheduledTime?.seconds ?? Number.POSITIVE_INFINITY) * 1000;
    const isWaiting = state === scheduled && !lastStartedTime && waitsMs > takenWithinMs;
    return isWaiting ? [{ step, attempt: 1, lastFailure: notTaken }] : [];
  });
}

/** The steps that an activity with a name of its own is a part of. */
const steps: Readonly<Record<string, readonly string[]>> = {
  surveyStage: ['merge', 'deploy'],
  mergeChange: ['merge', 'rollback'],
  baseHolds: ['merge', 'rollback'],
  deployStage: ['deploy'],
  watchStage: ['watch', 'rollback'],
  restoreStage: ['rollback'],
  revertChange: ['rollback'],
};

/** Whether it is the step that is tried again. */
export function isTryOf({ step: activity }: Retry, step: string): boolean {
  return activity === step || (Object.hasOwn(steps, activity) && steps[activity]?.includes(step) === true);
}
