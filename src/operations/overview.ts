import { type Client, QueryNotRegisteredError } from '@temporalio/client';
import { executionInfoFromRaw } from '@temporalio/client/lib/helpers.js';
import type { QueryDefinition } from '@temporalio/common';
import type { Configuration } from '../config/configuration.ts';
import { laneQuery, stateQuery } from '../contracts/messages.ts';
import { laneId } from '../contracts/start-options.ts';
import { concurrently } from '../domain/concurrently.ts';
import { type OpenQuestion, openQuestions, standingOf } from '../domain/open-questions.ts';
import type { Attribution } from '../domain/person.ts';
import { shortRollout } from '../domain/rollout-state.ts';
import { followedApart } from '../domain/tag-policy.ts';
import { OperationError, Unreachable } from './errors.ts';
import { readGlobalHold } from './lane.ts';
import { ofRollouts, type RolloutRow, rowOf } from './rollouts.ts';
import { type StageOverview, stagesOf } from './stage-overview.ts';
import { answered, answerWithinMs } from './temporal-calls.ts';

/** All that somebody on call has to know first, at one time. */
export interface Overview {
  /** When it was read, ISO 8601, UTC. */
  readonly readAt: string;
  /** Nothing of any service is changed. */
  readonly globalHold?: Attribution;
  /** By name. */
  readonly services: readonly ServiceOverview[];
  /** What waits for a person, the oldest first. */
  readonly asking: readonly AskingRollout[];
  /** Everything that is under way, what asks included; the newest first. */
  readonly underWay: readonly RolloutUnderWay[];
  /** There is more under way than is shown. */
  readonly isCut: boolean;
}

export interface ServiceOverview {
  readonly service: string;
  readonly hold?: Attribution;
  /** In the order in which they were reached, or are configured. */
  readonly stages: readonly StageOverview[];
  /** Why nothing is known of it: no worker answers, say. */
  readonly problem?: string;
}

export interface RolloutUnderWay extends RolloutRow {
  /** What it is at. Absent where no worker has told. */
  readonly standing?: string;
}

export interface AskingRollout extends RolloutUnderWay {
  /** At least one. Of a rollout that no worker has answered for, what its columns tell. */
  readonly questions: readonly OpenQuestion[];
}

/** A service as it is configured, for those that nothing was rolled out of. */
export interface ConfiguredService {
  readonly service: string;
  readonly stages: readonly string[];
}

/** Those that name one repository: which others there are, a pattern does not tell, and where tags go apart, each is a service. */
export function configuredServices({ services }: Pick<Configuration, 'services'>): ConfiguredService[] {
  const named = services.filter(({ image, tags }) => image.repository !== undefined && !followedApart(tags));
  return named.map(({ name, stages }) => ({ service: name, stages: stages.map((stage) => stage.name) }));
}

const mostUnderWay = 1_000;
/** How many of those that stand still are asked what they wait for. */
const mostAsked = 200;
const atOnce = 8;
/** A worker has its lanes at hand; where there is none, an operator should not have to wait for that. */
const queryWithinMs = 4_000;

/**
 * Three lists of Temporal, and one question to each lane and to each rollout that stands still. Where no worker answers, it tells what
 * Temporal itself knows.
 * @throws Unreachable where Temporal does not answer
 */
export async function readOverview(client: Client, configured: readonly ConfiguredService[] = []): Promise<Overview> {
  const readAt = new Date().toISOString();
  const [globalHold, lanes, open] = await Promise.all([readGlobalHold(client), listLanes(client), listOpen(client)]);
  const [askLane, askRollout] = [createAsker(client), createAsker(client)];
  const standing = open.rows.filter(({ status }) => status === 'blocked' || status === 'waiting');
  const asked = new Set(standing.slice(0, mostAsked).map(({ runId }) => runId));
  const [services, read] = await Promise.all([
    concurrently(lanes, atOnce, (service) => serviceOverview(askLane, service)),
    concurrently(open.rows, atOnce, (row) => underWay(askRollout, row, asked.has(row.runId))),
  ]);
  const others = configured.filter(({ service }) => !lanes.includes(service)).map(notReached);
  const asking = read.filter((row): row is AskingRollout => row.questions.length > 0);
  return {
    readAt,
    ...(globalHold !== undefined && { globalHold }),
    services: [...services, ...others].sort((one, other) => one.service.localeCompare(other.service)),
    asking: asking.sort((one, other) => one.changedAt.localeCompare(other.changedAt)),
    underWay: read.map(({ questions: _, ...row }) => row),
    isCut: open.isCut,
  };
}

function notReached({ service, stages }: ConfiguredService): ServiceOverview {
  return { service, stages: stages.map((stage) => ({ stage, waiting: 0 })) };
}

/** Everything that has not ended, in one call. */
async function listOpen(client: Client): Promise<{ readonly rows: readonly RolloutRow[]; readonly isCut: boolean }> {
  const { infos, isCut } = await listRunning(client, ofRollouts);
  return { rows: infos.map(rowOf), isCut };
}

async function listLanes(client: Client): Promise<string[]> {
  const { infos } = await listRunning(client, "WorkflowType = 'lane'");
  const prefix = laneId('');
  return infos.map(({ workflowId }) => workflowId.slice(prefix.length));
}

async function listRunning(client: Client, which: string) {
  const { namespace, loadedDataConverter } = client.options;
  const query = `${which} AND ExecutionStatus = 'Running'`;
  const request = { namespace, query, pageSize: mostUnderWay };
  const late = 'Temporal did not give a list in time: see that it runs, and ask again';
  const response = await answered(client, answerWithinMs, () => client.workflowService.listWorkflowExecutions(request), late);
  const infos = await Promise.all(
    response.executions.map((raw) => executionInfoFromRaw(raw, loadedDataConverter, raw, namespace)),
  );
  return { infos, isCut: (response.nextPageToken ?? []).length > 0 };
}

/** One of them may be stuck; where several say nothing, nobody is there, and each of the others would take as long. */
const mostSilent = 3;
const noWorker = 'no worker answers: see that a Landfall runs that works here (LANDFALL_ROLES)';

/** Asks workflows of one task queue. @throws Unreachable at once where several have not answered */
function createAsker(client: Client) {
  let silent = 0;
  return async <Answer>(workflowId: string, query: QueryDefinition<Answer>, runId?: string): Promise<Answer> => {
    if (silent >= mostSilent) throw new Unreachable(noWorker);
    const handle = client.workflow.getHandle(workflowId, runId);
    try {
      return await answered(client, queryWithinMs, () => handle.query(query), noWorker);
    } catch (error) {
      if (error instanceof Unreachable) silent += 1;
      throw error;
    }
  };
}
type WorkflowQuery = ReturnType<typeof createAsker>;

async function serviceOverview(ask: WorkflowQuery, service: string): Promise<ServiceOverview> {
  const lane = await orProblem(() => ask(laneId(service), laneQuery));
  if ('problem' in lane) return { service, stages: [], problem: lane.problem };
  return { service, ...(lane.hold !== undefined && { hold: lane.hold }), stages: stagesOf(lane) };
}

async function underWay(ask: WorkflowQuery, row: RolloutRow, isAsked: boolean): Promise<AskingRollout> {
  const state = isAsked ? await orProblem(() => ask(row.rollout, stateQuery, row.runId)) : undefined;
  if (state === undefined || 'problem' in state) return { ...row, questions: questionOf(row) };
  const standing = standingOf(state);
  return { ...row, ...(standing !== undefined && { standing }), questions: openQuestions(row.rollout, state) };
}

/** What nobody has answered for: that it is blocked, and why, is in its columns. */
function questionOf({ rollout, status, stage, reason, changedAt }: RolloutRow): OpenQuestion[] {
  if (status !== 'blocked') return [];
  const advice = `see what it asks: landfall show ${shortRollout(rollout)}`;
  const at = {
    step: 'unknown',
    since: changedAt,
    ...(stage !== undefined && { stage }),
    ...(reason !== undefined && { reason }),
  };
  return [{ asks: 'decision', ...at, decisions: [], advice }];
}

/** What one workflow does not answer is no reason to know nothing of the others. */
async function orProblem<Answer extends object>(ask: () => Promise<Answer>): Promise<Answer | { readonly problem: string }> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof OperationError) return { problem: error.message };
    if (error instanceof QueryNotRegisteredError) return { problem: 'it has not told its state yet: ask again in a moment' };
    throw error;
  }
}
