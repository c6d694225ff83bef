import type { z } from 'zod';
import * as answers from '../api/operators/v1/answers.ts';
import type { AuditLine } from '../domain/audit.ts';
import type { Attribution } from '../domain/person.ts';
import { NotFound, Refused } from '../operations/errors.ts';
import type {
  ApiPlace,
  AuditQuery,
  AuditReading,
  ListedRollout,
  Operations,
  Overview,
  RolloutFilter,
  RolloutStory,
} from '../operations/index.ts';
import { type AskApi, shownPlace } from './ask.ts';
import { laneOperations } from './lanes.ts';

/** Kind to the other side: a step takes seconds. */
const readEveryMs = 1_000;
/** What the API gives in one page. */
const largestPage = 1_000;
/** A first clone may take long. */
const buildTimeoutMs = 11 * 60_000;
/** A registry that is silent is given half a minute for each of some questions. */
const explanationTimeoutMs = 3 * 60_000;

/** What commands ask, each by the route of the API that does the same there. */
export function apiOperations(place: ApiPlace, ask: AskApi): Operations {
  const get = <Answer>(path: string, answer: z.ZodType, query = {}) => ask<Answer>({ path, query, answer });
  const post = <Answer>(path: string, answer: z.ZodType, body: object) => ask<Answer>({ path, body, answer });
  const story = (rollout: string) => get<RolloutStory>(rolloutPath(rollout), answers.story);
  return {
    ...laneOperations(ask),
    place: () => shownPlace(place),
    actor: () => readActor(place, ask),
    listRollouts: (filter) => listRollouts(filter, ask),
    async findRollout(prefix, wanted = {}) {
      return (await get<{ rollout: string }>(`${rolloutPath(prefix)}/id`, answers.meant, wanted)).rollout;
    },
    async readRollout(rollout) {
      const { row, execution, state, retries } = await story(rollout);
      return { runId: row.runId, execution, state, retries: [...retries] };
    },
    readEveryMs,
    readStory: story,
    async hasNewerPlan(rollout) {
      return (await get<{ isNewer: boolean }>(`${rolloutPath(rollout)}/plan`, answers.newerPlan)).isNewer;
    },
    async decide(rollout, { rollout: _, ...said }) {
      return await post(`${rolloutPath(rollout)}/decisions`, answers.decided, said);
    },
    async readGlobalHold() {
      return (await get<{ hold?: Attribution }>('/hold', answers.globalHold)).hold;
    },
    commandGlobalHold: (input) => post('/hold', answers.globalHold, input),
    async readOverview() {
      return { overview: await get<Overview>('/overview', answers.overview), isConfigured: true };
    },
    trigger: (input) => post('/triggers', answers.startedRollouts, input),
    startBuild: (body) => ask({ path: '/builds', body, answer: answers.startedBuilds, timeoutMs: buildTimeoutMs }),
    readFigures: (input) => get('/figures', answers.figures, input),
    readAudit: (query, take) => readAudit(query, take, place, ask),
    verifyAudit: () => Promise.reject(new Refused(onlyThere)),
    explainImage: (query) => ask({ path: '/explanations', query, answer: answers.explanation, timeoutMs: explanationTimeoutMs }),
  };
}

const onlyThere =
  'audit --verify reads the files of the log themselves, which the API does not hand out: run it where Landfall runs, without LANDFALL_URL and --url';

function rolloutPath(rollout: string): string {
  return `/rollouts/${encodeURIComponent(rollout)}`;
}

async function readActor({ as }: ApiPlace, ask: AskApi): ReturnType<Operations['actor']> {
  const { name, way } = await ask<{ readonly name: string; readonly way: string }>({ path: '/me', answer: answers.whoAsks });
  const verified = way !== 'unverified';
  if (verified && as !== undefined && as !== name)
    throw new Refused(`LANDFALL_TOKEN is the token of ${name}, and not of ${as}: leave --as out, or set the token of ${as}`);
  return { by: name, verified };
}

/** As many pages as it takes. What has moved up meanwhile is on both of two pages. */
async function listRollouts({ limit, allRuns = false, ...filter }: RolloutFilter, ask: AskApi): Promise<ListedRollout[]> {
  const rows = new Map<string, ListedRollout>();
  let cursor: string | undefined;
  do {
    const pageLimit = Math.min(limit - rows.size, largestPage);
    const query = { ...filter, ...(allRuns && { allRuns }), progress: true, limit: pageLimit, cursor };
    const page = await ask<{ readonly rows: readonly ListedRollout[]; readonly next?: string }>({
      ...{ path: '/rollouts', query, answer: answers.rolloutList },
    });
    for (const row of page.rows) {
      const key = allRuns ? row.runId : row.rollout;
      if (!rows.has(key)) rows.set(key, row);
    }
    cursor = page.next;
  } while (cursor !== undefined && rows.size < limit);
  return [...rows.values()];
}

/** The newest that the API gives at once, the oldest of these first. */
async function readAudit(
  { since, ...query }: AuditQuery,
  take: (entry: AuditLine) => void,
  place: ApiPlace,
  ask: AskApi,
): Promise<AuditReading> {
  const asked = { ...query, limit: largestPage, ...(since !== undefined && { since: new Date(since).toISOString() }) };
  const { entries, read, skipped } = await ask<{ readonly entries: readonly AuditLine[]; read: number; skipped: number }>({
    ...{ path: '/audit', query: asked, answer: answers.auditEntries },
  });
  if (read + skipped === 0)
    throw new NotFound(
      `there is no audit log of ${shownPlace(place)}: nothing was recorded yet, or audit.file names another one`,
    );
  for (const entry of [...entries].reverse()) take(entry);
  const isCut = entries.length >= largestPage;
  return { file: `the audit log of ${shownPlace(place)}`, read, skipped, ...(isCut && { isCut }) };
}
