import {
  type Client,
  QueryNotRegisteredError,
  type WorkflowExecutionDescription,
  type WorkflowExecutionInfo,
} from '@temporalio/client';
import { z } from 'zod';
import { stateQuery } from '../contracts/messages.ts';
import { searchAttributes } from '../contracts/start-options.ts';
import { ends, type RolloutState, rolloutStatuses, shortRollout } from '../domain/rollout-state.ts';
import { Ambiguous, NotFound, Unreachable } from './errors.ts';
import { serviceInput } from './input.ts';
import { answered, answeredEach, answerWithinMs } from './temporal-calls.ts';

/** Which rollouts to list. */
export const rolloutFilter = z.object({
  service: serviceInput.optional(),
  status: z.enum(rolloutStatuses).optional(),
  limit: z.int().min(1).max(99_999),
  /** Earlier runs of a rollout too, not only the newest that matches. */
  allRuns: z.boolean().optional(),
});
export type RolloutFilter = z.output<typeof rolloutFilter>;

/** A rollback that an operator asked for is shown, and decided about, as a rollout is. */
const ofRollouts = "WorkflowType IN ('rollout', 'rollback')";

/** The newest first. */
export async function listRollouts(
  client: Client,
  { service, status, limit, allRuns = false }: RolloutFilter,
): Promise<RolloutRow[]> {
  const isOpen = status !== undefined && !ends.some((end) => end === status);
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

const wholeId = /^(?:rollout:[^:]+:[^:]+:[0-9a-f]{12}|rollback:[^:]+:[^:]+:\d+)$/;
const idText = /^[\w.:-]+$/;
const mostCandidates = 20;

/** What somebody typed for a rollout, as the beginning of an id. */
export const rolloutPrefix = z
  .string()
  .regex(idText, {
    error: ({ input }) => `expected the beginning of a rollout's id such as app:latest:9f86d081884c, found '${String(input)}'`,
  })
  .transform((text) => (/^(?:rollout|rollback):/.test(text) ? text : `rollout:${text}`));

/**
 * The id of the one rollout that begins with the prefix.
 * @param prefix as `rolloutPrefix` gives it
 * @throws NotFound where there is none, Ambiguous where there are several; its message lists them
 */
export async function findRollout(client: Client, prefix: string): Promise<string> {
  // Lists lag behind a little: who has the whole id need not wait for them.
  if (wholeId.test(prefix)) return prefix;
  // A beginning of ids alone has Temporal look at every one that there is.
  const [, service = '', ...rest] = prefix.split(':');
  const ofService = rest.length === 0 ? '' : `${searchAttributes.service.name} = ${quoted(service)} AND `;
  const query = `${ofRollouts} AND ${ofService}WorkflowId STARTS_WITH ${quoted(prefix)}`;
  const found = new Set<string>();
  for await (const { workflowId } of answeredEach(client, answerWithinMs, client.workflow.list({ query, pageSize: 100 }))) {
    // A closed rollout may have run again: the same id is the same rollout.
    if (workflowId.startsWith(prefix)) found.add(workflowId);
    // One more than are shown tells that there are more.
    if (found.size > mostCandidates) break;
  }
  const ids = [...found].sort();
  const [first, ...others] = ids;
  if (first === undefined)
    throw new NotFound(`no rollout begins with '${shortRollout(prefix)}': landfall list shows what there is`);
  if (others.length === 0) return first;
  const candidates = ids.slice(0, mostCandidates);
  const shown = candidates.map((id) => `  ${shortRollout(id)}`);
  const more = ids.length > mostCandidates ? ['  …'] : [];
  const title = `'${shortRollout(prefix)}' is the beginning of several rollouts; name one of them:`;
  throw new Ambiguous([title, ...shown, ...more].join('\n'), candidates);
}

/**
 * The newest run of one rollout, at once: lists lag behind a little.
 * @throws NotFound
 */
export async function rolloutRow(client: Client, rollout: string): Promise<RolloutRow> {
  return rowOf(await answered(client, answerWithinMs, () => client.workflow.getHandle(rollout).describe()));
}

/** One row of a list of rollouts: what Temporal's columns say, without asking any worker. */
export type RolloutRow = ReturnType<typeof rowOf>;

function rowOf(info: Omit<WorkflowExecutionInfo, 'raw'>) {
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

/** A rollout that Temporal ended from outside (terminated, timed out) says nothing any more. */
function statusOf(execution: string, own: string | undefined): string {
  const isOwn = execution === 'RUNNING' || execution === 'COMPLETED' || execution === 'CONTINUED_AS_NEW';
  return isOwn ? (own ?? 'running') : execution.toLowerCase().replaceAll('_', ' ');
}

function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** What is known of a rollout at this moment: what it says itself, and what only Temporal knows. */
export type RolloutNow = Awaited<ReturnType<typeof readRollout>>;

/**
 * A rollout that has ended left its state as its result; one that runs, or was ended from outside, is asked.
 * @throws NotFound, and Unreachable where no worker answers
 */
export async function readRollout(client: Client, rollout: string) {
  const handle = client.workflow.getHandle(rollout);
  const description = await answered(client, answerWithinMs, () => handle.describe());
  const { runId, status } = description;
  const ask = async (): Promise<RolloutState> =>
    status.name === 'COMPLETED' ? ((await handle.result()) as RolloutState) : await handle.query(stateQuery);
  try {
    const state = await answered(client, answerWithinMs, ask);
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
    return isWaiting ? [{ step, attempt: 1, lastFailure: notTaken }] : [];
  });
}
