import {
  type Client,
  QueryNotRegisteredError,
  type WorkflowExecutionDescription,
  type WorkflowExecutionInfo,
} from '@temporalio/client';
import { runStateQuery } from '../contracts/messages.ts';
import { searchAttributes } from '../contracts/start-options.ts';
import { quoted } from '../contracts/visibility.ts';
import { isEnd, type RunState } from '../domain/rollout-state.ts';
import { Unreachable } from './errors.ts';
import type { RolloutFilter } from './inputs.ts';
import { answered, answeredEach, answerWithinMs } from './temporal-calls.ts';

/** A rollback that an operator asked for is shown, and decided about, as a rollout is. */
export const ofRollouts = "WorkflowType IN ('rollout', 'rollback', 'build')";

/** The newest first. */
export async function listRollouts(
  client: Client,
  { service, status, limit, allRuns = false }: RolloutFilter,
): Promise<RolloutRow[]> {
  const isOpen = status !== undefined && !isEnd(status);
  const conditions = [
    ofRollouts,
    ...(service === undefined ? [] : [`${searchAttributes.service.name} = ${quoted(service)}`]),
    ...(status === undefined ? [] : [`${searchAttributes.status.name} = ${quoted(status)}`]),
    // What was terminated from outside never had the chance to change its own status.
    ...(isOpen ? ["ExecutionStatus = 'Running'"] : []),
  ];
  const rows = new Map<string, RolloutRow>();
  const list = client.workflow.list({ query: conditions.join(' AND '), pageSize: Math.min(limit, 1000) });
  // Temporal lists what runs first, and then what ended last: the first of an id is its newest run.
  for await (const info of answeredEach(client, answerWithinMs, list)) {
    const key = allRuns ? info.runId : info.workflowId;
    if (!rows.has(key)) rows.set(key, rowOf(info));
    if (rows.size >= limit) break;
  }
  return [...rows.values()];
}

/**
 * The newest run of one rollout, at once: lists lag behind a little.
 * @throws NotFound
 */
export async function rolloutRow(client: Client, rollout: string, run?: string): Promise<RolloutRow> {
  return rowOf(await answered(client, answerWithinMs, () => client.workflow.getHandle(rollout, run).describe()));
}

/** One row of a list of rollouts: what Temporal's columns say, without asking any worker. */
export type RolloutRow = ReturnType<typeof rowOf>;

export function rowOf(info: Omit<WorkflowExecutionInfo, 'raw'>) {
  const { workflowId, runId, typedSearchAttributes: columns, memo, startTime, closeTime, status } = info;
  const stage = columns.get(searchAttributes.stage);
  const { reason, proposal } = memo ?? {};
  return {
    rollout: workflowId,
    runId,
    service: columns.get(searchAttributes.service) ?? '',
    image: columns.get(searchAttributes.image) ?? '',
    digest: columns.get(searchAttributes.digest) ?? '',
    /** The rollout's own status; where Temporal ended it from outside, how (`terminated`, `failed`, `timed out`). */
    status: statusOf(status.name, columns.get(searchAttributes.status)),
    ...(stage !== undefined && { stage }),
    /** ISO 8601, UTC. */
    startedAt: startTime.toISOString(),
    changedAt: (columns.get(searchAttributes.changedAt) ?? closeTime ?? startTime).toISOString(),
    ...(typeof reason === 'string' && { reason }),
    ...(typeof proposal === 'string' && { proposal }),
  };
}

/** It goes on, or waits: what was ended from outside has another status. */
export function isOpen({ status }: Pick<RolloutRow, 'status'>): boolean {
  return ['running', 'waiting', 'blocked'].includes(status);
}

/** A rollout that Temporal ended from outside (terminated, timed out) says nothing any more. */
function statusOf(execution: string, own: string | undefined): string {
  const isOwn = execution === 'RUNNING' || execution === 'COMPLETED' || execution === 'CONTINUED_AS_NEW';
  return isOwn ? (own ?? 'running') : execution.toLowerCase().replaceAll('_', ' ');
}

/** What is known of a rollout at this moment: what it says itself, and what only Temporal knows. */
export type RolloutNow = Awaited<ReturnType<typeof readRollout>>;

/**
 * A rollout that has ended left its state as its result; one that runs, or was ended from outside, is asked.
 * @throws NotFound, and Unreachable where no worker answers
 */
export async function readRollout(client: Client, rollout: string, withinMs = answerWithinMs, run?: string) {
  const handle = client.workflow.getHandle(rollout, run);
  const description = await answered(client, withinMs, () => handle.describe());
  const { runId, status } = description;
  const ask = async (): Promise<RunState> =>
    status.name === 'COMPLETED' ? ((await handle.result()) as RunState) : await handle.query(runStateQuery);
  try {
    const state = await answered(client, withinMs, ask);
    /** `running`, `completed`, or how Temporal ended it from outside. */
    const execution = statusOf(status.name, status.name.toLowerCase());
    return { runId, execution, state, retries: retriesIn(description) };
  } catch (error) {
    if (!(error instanceof QueryNotRegisteredError)) throw error;
    throw new Unreachable(`${rollout} has not told its state yet: ask again in a moment`, { cause: error });
  }
}

/** A worker takes a step within a moment, unless there is none, or it has its hands full. */
const takenWithinMs = 5_000;
const notTaken =
  'no worker has taken it yet: see that a Landfall runs that serves it (LANDFALL_ROLES there, and LANDFALL_HOSTS for what is on a host)';
const notBuiltYet =
  'it waits for its turn on the host that builds it, where limits.builds says how many have theirs at once; if none has: no worker has taken it ' +
  'yet, see that a Landfall runs that serves the host (LANDFALL_ROLES and LANDFALL_HOSTS there)';
const inTurn = ['buildPlatform', 'checkBuilt', 'pushPlatform'];
/** `PENDING_ACTIVITY_STATE_SCHEDULED` of Temporal's API. */
const scheduled = 1;

export type Retry = ReturnType<typeof retriesIn>[number];

/** The steps that failed and are tried again, and those that no worker has taken. */
function retriesIn({ raw }: WorkflowExecutionDescription) {
  return (raw.pendingActivities ?? []).flatMap((pending) => {
    const { activityType, attempt, lastFailure, state, scheduledTime, lastStartedTime } = pending;
    /** Its step, or the name of the activity that is a part of one. */
    const step = activityType?.name?.replace(/^check:/, '') ?? '';
    // The attempt that is under way or comes next: 1 only where no worker has taken it yet.
    if (lastFailure?.message) return [{ step, attempt: attempt ?? 1, lastFailure: lastFailure.message }];
    const waitsMs = Date.now() - Number(scheduledTime?.seconds ?? Number.POSITIVE_INFINITY) * 1000;
    const isWaiting = state === scheduled && !lastStartedTime && waitsMs > takenWithinMs;
    return isWaiting ? [{ step, attempt: 1, lastFailure: inTurn.includes(step) ? notBuiltYet : notTaken }] : [];
  });
}
