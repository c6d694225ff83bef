import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { z } from 'zod';
import { searchAttributes } from '../contracts/start-options.ts';
import { ends, rolloutStatuses, shortRollout } from '../domain/rollout-state.ts';
import { answered, answerWithinMs } from './answered.ts';
import { Ambiguous, NotFound } from './errors.ts';
import { serviceInput } from './input.ts';

/** One row of a list of rollouts: what Temporal's columns say, without asking any worker. */
export interface RolloutRow {
  readonly rollout: string;
  readonly runId: string;
  readonly service: string;
  readonly image: string;
  readonly digest: string;
  /** The rollout's own status; where Temporal ended it from outside, how (`terminated`, `failed`, `timed out`). */
  readonly status: string;
  readonly stage?: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly changedAt: string;
  readonly reason?: string;
  readonly proposal?: string;
}

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
export async function listRollouts(client: Client, filter: RolloutFilter): Promise<RolloutRow[]> {
  const { service, status } = filter;
  const isOpen = status !== undefined && !ends.some((end) => end === status);
  const conditions = [
    ofRollouts,
    ...(service === undefined ? [] : [`${searchAttributes.service.name} = ${quoted(service)}`]),
    ...(status === undefined ? [] : [`${searchAttributes.status.name} = ${quoted(status)}`]),
    // What was terminated from outside never had the chance to change its own status.
    ...(isOpen ? ["ExecutionStatus = 'Running'"] : []),
  ];
  return await answered(client, answerWithinMs, () => firstRows(client, conditions.join(' AND '), filter));
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
  const query = `${ofRollouts} AND WorkflowId STARTS_WITH ${quoted(prefix)}`;
  const ids = await answered(client, answerWithinMs, () => idsThatBegin(client, query, prefix));
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

/** In the order of the alphabet; one more than are shown tells that there are more. */
async function idsThatBegin(client: Client, query: string, prefix: string): Promise<string[]> {
  const ids = new Set<string>();
  for await (const { workflowId } of client.workflow.list({ query, pageSize: 100 })) {
    // A closed rollout may have run again: the same id is the same rollout.
    if (workflowId.startsWith(prefix)) ids.add(workflowId);
    if (ids.size > mostCandidates) break;
  }
  return [...ids].sort();
}

/** Temporal lists what runs first, and then what ended last: the first of an id is its newest run. */
async function firstRows(
  client: Client,
  query: string,
  { limit, allRuns = false }: Pick<RolloutFilter, 'limit' | 'allRuns'>,
): Promise<RolloutRow[]> {
  const rows = new Map<string, RolloutRow>();
  for await (const info of client.workflow.list({ query, pageSize: Math.min(limit, 1000) })) {
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
export async function rolloutRow(client: Client, rollout: string): Promise<RolloutRow> {
  return rowOf(await answered(client, answerWithinMs, () => client.workflow.getHandle(rollout).describe()));
}

function rowOf(info: Omit<WorkflowExecutionInfo, 'raw'>): RolloutRow {
  const columns = info.typedSearchAttributes;
  const stage = columns.get(searchAttributes.stage);
  const changedAt = columns.get(searchAttributes.changedAt) ?? info.closeTime ?? info.startTime;
  return {
    rollout: info.workflowId,
    runId: info.runId,
    service: columns.get(searchAttributes.service) ?? '',
    image: columns.get(searchAttributes.image) ?? '',
    digest: columns.get(searchAttributes.digest) ?? '',
    status: statusOf(info.status.name, columns.get(searchAttributes.status)),
    ...(stage === undefined ? {} : { stage }),
    startedAt: info.startTime.toISOString(),
    changedAt: changedAt.toISOString(),
    ...textOf(info.memo, 'reason'),
    ...textOf(info.memo, 'proposal'),
  };
}

/** A rollout that Temporal ended from outside (terminated, timed out) says nothing any more. */
export function statusOf(execution: string, own: string | undefined): string {
  const isOwn = execution === 'RUNNING' || execution === 'COMPLETED' || execution === 'CONTINUED_AS_NEW';
  return isOwn ? (own ?? 'running') : execution.toLowerCase().replaceAll('_', ' ');
}

function textOf<Key extends string>(memo: Record<string, unknown> | undefined, key: Key): { [Name in Key]?: string } {
  const value = memo?.[key];
  return typeof value === 'string' ? ({ [key]: value } as { [Name in Key]?: string }) : {};
}

function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
