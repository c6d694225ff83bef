import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import { z } from 'zod';
import { searchAttributes } from '../contracts/start-options.ts';
import { quoted } from '../contracts/visibility.ts';
import { InvalidReference, isDigest, parseReference } from '../domain/image-reference.ts';
import { isEnd, type RunStatus, runStatuses } from '../domain/rollout-state.ts';
import { InvalidInput } from './errors.ts';
import { serviceInput } from './inputs.ts';
import { ofRollouts, type RolloutRow, rowOf } from './rollouts.ts';
import { answered, answerWithinMs } from './temporal-calls.ts';

/** Rollouts in pages, by what Temporal's columns say: no worker is asked, and no page costs more than a few calls. */

const image = z.string().transform((text, context): ReturnType<typeof imageConditions> => {
  try {
    return imageConditions(text);
  } catch (error) {
    if (!(error instanceof InvalidReference)) throw error;
    context.addIssue({ code: 'custom', message: `image: ${error.message}` });
    return z.NEVER;
  }
});

const shortestDigest = 7;
const digest = z.string().transform((text, context): string => {
  const hex = /^(?:sha256:)?([0-9a-f]+)$/.exec(text.trim().toLowerCase())?.[1] ?? '';
  if (hex.length >= shortestDigest && hex.length <= 64) return `sha256:${hex}`;
  const message = `digest: expected sha256: and 64 hex digits, or the first ${shortestDigest} or more of them, found '${text.slice(0, 80)}'`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

const time = (name: string) =>
  z.iso.datetime({
    offset: true,
    error: ({ input }) => `${name}: expected a time such as 2026-01-31T08:00:00Z, found '${input}'`,
  });

/** Which rollouts to list. */
export const rolloutPageFilter = z.object({
  service: serviceInput.optional(),
  /** `REPOSITORY`, `REPOSITORY:TAG`, or with `@DIGEST`. */
  image: image.optional(),
  /** Or its first 7 or more hex digits. */
  digest: digest.optional(),
  /** Or a platform, which the steps of a build are of. */
  stage: z
    .string()
    .regex(/^[A-Za-z0-9][\w./-]{0,98}$/, {
      error: ({ input }) =>
        `stage: expected the name of a stage, or the platform of a build such as linux/amd64, found '${String(input).slice(0, 80)}'`,
    })
    .optional(),
  status: z.array(z.enum(runStatuses)).min(1).optional(),
  /** Those that were under way at some time between the two. */
  from: time('from').optional(),
  to: time('to').optional(),
  /** Part of what a row says, in any case. */
  text: z.string().trim().min(1).max(200).optional(),
  /** Earlier runs of a rollout too, not only the newest on each page. */
  allRuns: z.boolean().optional(),
  limit: z.int().min(1).max(1000).default(50),
  /** As `next` of the page before. */
  cursor: z.string().max(4_000).optional(),
});
export type RolloutPageFilter = z.output<typeof rolloutPageFilter>;

/** The newest first: those under way, and then what ended last. */
export interface RolloutPage {
  readonly rows: readonly RolloutRow[];
  /** The cursor of the next page. Absent: this is the last one. A page may have fewer rows than asked for, and a next one. */
  readonly next?: string;
}

/** How much of Temporal is looked at for one page with a text, which Temporal itself does not search for. */
const scannedAtOnce = 1_000;
const mostScans = 5;

/**
 * One page, with at most five calls of Temporal, and one where no text is asked for.
 * @throws InvalidInput for a cursor of another list; Unreachable
 */
export async function listRolloutPage(client: Client, filter: RolloutPageFilter): Promise<RolloutPage> {
  const { limit, text, allRuns = false } = filter;
  const query = queryOf(filter);
  const list = JSON.stringify([query, text, allRuns]);
  let at = filter.cursor === undefined ? firstPlace : placeIn(filter.cursor, list);
  const rows = new Map<string, RolloutRow>();
  const pageSize = text === undefined ? limit : scannedAtOnce;
  for (let calls = 1; ; calls += 1) {
    const part = await readPart(client, query, pageSize, at);
    for (const row of part.rows) {
      const key = allRuns ? row.runId : row.rollout;
      if (rows.has(key) || !says(row, text)) continue;
      if (rows.size === limit) return { rows: [...rows.values()], next: cursorOf({ ...at, after: lastOf(rows).runId }, list) };
      rows.set(key, row);
    }
    if (part.next === '') return { rows: [...rows.values()] };
    at = { token: part.next };
    const isFull = rows.size >= limit || text === undefined || calls === mostScans;
    if (isFull) return { rows: [...rows.values()], next: cursorOf(at, list) };
  }
}

const mostChanged = 500;

export interface ChangedRollouts {
  readonly rows: readonly RolloutRow[];
  /** There are more. */
  readonly isCut: boolean;
}

/** The rollouts whose columns changed since then (ISO 8601), the newest of many. */
export async function listChanged(client: Client, since: string): Promise<ChangedRollouts> {
  const query = `${ofRollouts} AND ${searchAttributes.changedAt.name} >= ${quoted(utc(since))}`;
  const { rows, next } = await readPart(client, query, mostChanged, firstPlace);
  return { rows, isCut: next !== '' };
}

/** How many there are, whatever text was asked for. */
export async function countRollouts(client: Client, filter: RolloutPageFilter): Promise<number> {
  const { count } = await answered(client, answerWithinMs, () => client.workflow.count(queryOf(filter)));
  return count;
}

function queryOf({ service, image, digest, stage, status, from, to }: RolloutPageFilter): string {
  const { service: ofService, digest: ofDigest, stage: ofStage } = searchAttributes;
  return [
    ofRollouts,
    ...(service === undefined ? [] : [`${ofService.name} = ${quoted(service)}`]),
    ...(image ?? []),
    ...(digest === undefined ? [] : [digestCondition(digest)]),
    ...(stage === undefined ? [] : [`${ofStage.name} = ${quoted(stage)}`]),
    ...(status === undefined ? [] : [statusCondition(status)]),
    ...(from === undefined ? [] : [`(ExecutionStatus = 'Running' OR CloseTime >= ${quoted(utc(from))})`]),
    ...(to === undefined ? [] : [`StartTime <= ${quoted(utc(to))}`]),
  ].join(' AND ');

  function digestCondition(text: string): string {
    return `${ofDigest.name} ${isDigest(text) ? '=' : 'STARTS_WITH'} ${quoted(text)}`;
  }
}

/** What was terminated from outside never had the chance to change its own status. */
function statusCondition(wanted: readonly RunStatus[]): string {
  const within = (statuses: readonly RunStatus[]) => `${searchAttributes.status.name} IN (${statuses.map(quoted).join(', ')})`;
  const ended = wanted.filter(isEnd);
  const open = wanted.filter((status) => !isEnd(status));
  const parts = [
    ...(ended.length === 0 ? [] : [within(ended)]),
    ...(open.length === 0 ? [] : [`(${within(open)} AND ExecutionStatus = 'Running')`]),
  ];
  return parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(' OR ')})`;
}

function imageConditions(text: string): readonly string[] {
  const { repository, tag, digest } = parseReference(text);
  const { image, digest: ofDigest } = searchAttributes;
  const named =
    tag === undefined
      ? `${image.name} STARTS_WITH ${quoted(`${repository}:`)}`
      : `${image.name} = ${quoted(`${repository}:${tag}`)}`;
  return [named, ...(digest === undefined ? [] : [`${ofDigest.name} = ${quoted(digest)}`])];
}

function utc(time: string): string {
  return new Date(time).toISOString();
}

function says({ rollout, image, digest, status, stage = '', reason = '', proposal = '' }: RolloutRow, text: string | undefined) {
  if (text === undefined) return true;
  return [rollout, image, digest, status, stage, reason, proposal].join('\n').toLowerCase().includes(text.toLowerCase());
}

/** Where a page begins: behind what Temporal's own token says, and behind one run of what comes there. */
interface ListPosition {
  /** Base64; empty: the beginning. */
  readonly token: string;
  readonly after?: string;
}
const firstPlace: ListPosition = { token: '' };

async function readPart(client: Client, query: string, pageSize: number, { token, after }: ListPosition) {
  const { namespace, loadedDataConverter } = client.options;
  const nextPageToken = Buffer.from(token, 'base64');
  const response = await answered(client, answerWithinMs, () =>
    client.workflowService.listWorkflowExecutions({ namespace, query, pageSize, nextPageToken }),
  );
  const infos = await Promise.all(
    response.executions.map((raw) => executionInfoFromRaw(raw, loadedDataConverter, raw, namespace)),
  );
  const rows = infos.map(rowOf);
  // One that has moved up meanwhile is shown on both pages rather than on none.
  const seen = after === undefined ? -1 : rows.findIndex(({ runId }) => runId === after);
  return { rows: rows.slice(seen + 1), next: Buffer.from(response.nextPageToken ?? []).toString('base64') };
}

function lastOf(rows: ReadonlyMap<string, RolloutRow>): RolloutRow {
  const last = [...rows.values()].at(-1);
  if (last === undefined) throw new Error('a full page has a last row');
  return last;
}

/** A cursor fits only the list that it was made for, and is as it was made: Temporal breaks over a token that is none of its own. */
function fingerprintOf(list: string, { token, after }: ListPosition): string {
  return createHash('sha256')
    .update(JSON.stringify([list, token, after]))
    .digest('base64url')
    .slice(0, 16);
}

const cursorShape = z.object({ of: z.string(), token: z.string(), after: z.string().optional() });

function cursorOf(at: ListPosition, list: string): string {
  return Buffer.from(JSON.stringify({ of: fingerprintOf(list, at), ...at })).toString('base64url');
}

function placeIn(cursor: string, list: string): ListPosition {
  try {
    const { of, token, after } = cursorShape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    const at = { token, ...(after !== undefined && { after }) };
    if (of === fingerprintOf(list, at)) return at;
  } catch {
    // What it says is of no interest to anybody.
  }
  throw otherCursor();
}

function otherCursor(): InvalidInput {
  return new InvalidInput('cursor: expected that of an earlier page of the same list, with the same filters: begin without one');
}
