import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { SearchActivities, SearchInput } from '../../contracts/activities/pushes.ts';
import { resolveStartOptions, rolloutId } from '../../contracts/start-options.ts';
import { concurrently } from '../../domain/concurrently.ts';
import { messageOf } from '../../domain/errors.ts';
import { type FailureType, RateLimit, Refusal } from '../../domain/failures.ts';
import { formatReference, type Repository, type Tag } from '../../domain/image-reference.ts';
import type { ImageIdentity } from '../../domain/outcomes.ts';
import { type ChangePlan, dispatchOfPush, filesOf, type Plan } from '../../domain/plan.ts';
import type { RolloutState } from '../../domain/rollout-state.ts';
import {
  changeToAsk,
  compareSnapshots,
  type SearchMemory,
  type SearchOutcome,
  type SnapshotComparison,
  type TagSnapshot,
  type Watermark,
} from '../../domain/search.ts';
import { answering, type Heartbeat, ifKnown, leaveWhenCancelled } from '../boundary.ts';
import { baseOf, type CommittedFiles, isSame } from '../change-branch.ts';
import { editFiles } from '../changed-files.ts';
import type { Dependencies } from '../dependencies.ts';
import { nextWatermark, openWatermarks, previousOf, readSnapshots, type ServiceSnapshot, type Watermarks } from './snapshots.ts';

type SearchDependencies = Pick<
  Dependencies,
  'registry' | 'storedTags' | 'client' | 'forgeFor' | 'plansOfHost' | 'report' | 'now'
>;

const repositoriesAtOnce = 4;
/** After so many failing repositories in a row, the registry itself counts as unreachable. */
const mostFailuresInRow = 5;
/** Below the time that the workflow gives; the next search goes on with the rest. */
const longestMs = 5 * 60_000;
/** Clocks of workers and of Temporal differ. */
const clockSkewMs = 60_000;
const mostReportedFound = 100;
const mostReportedFailed = 10;

/** One search, as far as it has come. */
interface SearchRun extends Required<SearchDependencies> {
  readonly host: string;
  readonly watermarks: Watermarks;
  /** Files on base branches; services of one deployment repository share them. */
  readonly baseFiles: Map<string, Promise<CommittedFiles>>;
  readonly began: number;
  readonly heartbeat: Heartbeat;
  /** Ids of the rollouts that this attempt, or an earlier one, has requested. */
  readonly requested: Set<string>;
  readonly found: { readonly service: string; readonly image: string }[];
  readonly failed: string[];
  failuresInRow: number;
  unsearched: number;
  limitedUntil?: Date;
  resumeAt?: Repository;
}

export function createSearch(dependencies: SearchDependencies): SearchActivities {
  const { now = () => new Date() } = dependencies;
  return {
    searchRegistry: answering(({ registry: host, known }: SearchInput, heartbeat) =>
      leaveWhenCancelled(async () => {
        const run: SearchRun = {
          ...dependencies,
          now,
          host,
          watermarks: openWatermarks(known),
          baseFiles: new Map(),
          began: now().getTime(),
          heartbeat,
          requested: new Set(Array.isArray(heartbeat.previous) ? heartbeat.previous.map(String) : []),
          found: [],
          failed: [],
          failuresInRow: 0,
          unsearched: 0,
        };
        // Services that pass every push on have nothing that could be looked up.
        const plans = dependencies.plansOfHost(host).filter((plan) => dispatchOfPush(plan) === undefined);
        const repositories = repositoriesOf(plans, known.resumeAt);
        await concurrently(repositories, repositoriesAtOnce, ([repository, plans]) => searchRepository(run, repository, plans));
        return reported(run, plans, known);
      }),
    ),
  };
}

/** Begins with the repository that the previous search did not reach. */
function repositoriesOf(plans: readonly Plan[], resumeAt: Repository | undefined): [Repository, Plan[]][] {
  const all = [...Map.groupBy(plans, ({ repository }) => repository)];
  const start = all.findIndex(([repository]) => repository === resumeAt);
  return start < 0 ? all : [...all.slice(start), ...all.slice(0, start)];
}

/** A registry error counts for its repository alone; if Temporal does not answer, the whole search is retried. */
async function searchRepository(run: SearchRun, repository: Repository, plans: readonly Plan[]): Promise<void> {
  const { limitedUntil, failuresInRow, began, now } = run;
  if (limitedUntil !== undefined || failuresInRow >= mostFailuresInRow || now().getTime() - began > longestMs) {
    run.resumeAt ??= repository;
    run.unsearched += 1;
    return;
  }
  for (const snapshot of await readRepository(run, repository, plans)) await takeUpPushes(run, snapshot);
}

async function readRepository(run: SearchRun, repository: Repository, plans: readonly Plan[]): Promise<ServiceSnapshot[]> {
  try {
    const snapshots = await readSnapshots({ ...run, repository, plans });
    run.failuresInRow = 0;
    if (snapshots.every(({ chosen, seen }) => chosen.length === 0 && seen === undefined)) {
      run.failed.push(`${repository}: none of the followed tags is there`);
    }
    return snapshots;
  } catch (error) {
    if (error instanceof RateLimit) {
      run.limitedUntil ??= error.until;
      run.resumeAt ??= repository;
      return [];
    }
    // A refusal for one repository says nothing about the others.
    run.failuresInRow = error instanceof Refusal ? 0 : run.failuresInRow + 1;
    run.failed.push(`${repository}: ${messageOf(error)}`);
    return [];
  }
}

/** Starts rollouts for what was pushed, and remembers the snapshot. */
async function takeUpPushes(run: SearchRun, snapshot: ServiceSnapshot): Promise<void> {
  const { plan, chosen, ...more } = snapshot;
  const before = run.watermarks.of(plan);
  const { pushed, first } = compareSnapshots(plan, previousOf(before), chosen);
  const { lacking, unsure } = await compareWithBase(run, plan, first, before === undefined);
  const running = await startRollouts(run, plan, { pushed, first: lacking }, before);
  // If the base branch could not be read, the next search sees the service for the first time again.
  if (unsure.length > 0 && (before === undefined || plan.tags.kind !== 'exact')) return;
  // How these rollouts end is not known yet: if one is rejected for a passing reason, a later search must find its tag again.
  if (running.length > 0 && plan.tags.kind !== 'exact') return;
  const settled = chosen.filter(({ tag }) => !running.includes(tag));
  const known = nextWatermark(plan, before, settled, more);
  run.watermarks.set({ ...known, tags: known.tags.filter(([tag]) => !unsure.includes(tag)) });
}

/**
 * Without a base branch we cannot tell a new push from an old image, so we start nothing. The same holds on the first search if the base
 * has one of several exact tags: the others may be older, and deploying them may be a step back.
 * @returns what the base branch has something else for, and the tags of which nobody can tell
 */
async function compareWithBase(
  run: SearchRun,
  plan: Plan,
  first: readonly TagSnapshot[],
  isBaseline: boolean,
): Promise<{ lacking: TagSnapshot[]; unsure: Tag[] }> {
  const change = changeToAsk(plan);
  const held: TagSnapshot[] = [];
  const lacking: TagSnapshot[] = [];
  const unsure: Tag[] = [];
  if (change === undefined) return { lacking, unsure };
  for (const image of first) {
    try {
      ((await baseHolds(run, change, { repository: plan.repository, ...image })) ? held : lacking).push(image);
    } catch (error) {
      unsure.push(image.tag);
      run.failed.push(`${plan.service}: ${messageOf(error)}`);
    }
  }
  return { lacking: isBaseline && held.length > 0 ? [] : lacking, unsure };
}

/** Whether the base branch of a change has the image already. @throws where the forge cannot be asked, or the file has no place for it */
async function baseHolds({ baseFiles, forgeFor }: SearchRun, change: ChangePlan, image: ImageIdentity): Promise<boolean> {
  const key = JSON.stringify([change.repository, change.base, filesOf(change).map(({ file }) => file)]);
  // A forge that cannot be reached is asked once for the same files.
  const files = baseFiles.get(key) ?? baseOf(forgeFor(change.repository), change);
  baseFiles.set(key, files);
  const { texts } = await files;
  return isSame((await editFiles(texts, change, image)).texts, texts);
}

/**
 * Sends one signal for all tags of a service: `resolve` looks at all of them anyway.
 * @returns the tags whose rollouts are under way
 */
async function startRollouts(
  run: SearchRun,
  plan: Plan,
  { pushed, first }: SnapshotComparison,
  before: Watermark | undefined,
): Promise<Tag[]> {
  const { repository, service } = plan;
  // A rollout that ended before the previous search was not started by a push after it.
  const since = before === undefined ? 0 : run.watermarks.searchedAt(before) - clockSkewMs;
  const missed: (TagSnapshot & { readonly id: string })[] = [];
  const running: Tag[] = [];
  for (const [image, from] of [...first.map((one) => [one, 0] as const), ...pushed.map((one) => [one, since] as const)]) {
    const id = rolloutId(service, image);
    // What an earlier attempt of this search requested may run by now; it still counts as found by this search.
    const status = run.requested.has(id) ? 'missed' : await rolloutStatus(run.client, id, from);
    if (status === 'missed') missed.push({ ...image, id });
    if (status === 'running') running.push(image.tag);
  }
  const firstMissed = missed.find(({ id }) => !run.requested.has(id));
  if (firstMissed !== undefined) {
    const { tag } = firstMissed;
    const push = { source: 'search', deliveryId: randomUUID(), repository, tag, receivedAt: run.now().toISOString() };
    await run.client.workflow.signalWithStart('resolve', resolveStartOptions({ plan, push }));
    for (const { id } of missed) run.requested.add(id);
    run.heartbeat.record([...run.requested].slice(-mostReportedFound));
  }
  for (const { tag, digest } of missed) run.found.push({ service, image: formatReference({ repository, tag, digest }) });
  return running;
}

/**
 * Whether a webhook, or a person, has already started the rollout of a tag that a search found.
 * @param since milliseconds since 1970: what ended before that does not count
 */
async function rolloutStatus(client: Client, id: string, since: number): Promise<'missed' | 'running' | 'over'> {
  const ask = async () => {
    const { closeTime, runId, status } = await client.workflow.getHandle(id).describe();
    if (closeTime === undefined) return 'running';
    if (closeTime.getTime() < since) return 'missed';
    if (status.name !== 'COMPLETED') return 'over';
    // It was rejected because the registry did not have it, or a part of it; but the search has just found it there.
    const ended: Partial<RolloutState> | null = await client.workflow.getHandle(id, runId, { followRuns: false }).result();
    const missing: FailureType = 'NotInRegistry';
    const wasMissing = ended?.status === 'rejected' && ended.steps?.some(({ failure }) => failure === missing);
    return wasMissing ? 'missed' : 'over';
  };
  return (await ifKnown(ask())) ?? 'missed';
}

/** What the search came to: told to metrics and audit log, and left to the next one. */
function reported(run: SearchRun, plans: readonly Plan[], known: SearchMemory): SearchOutcome {
  const { host, watermarks, began, resumeAt, limitedUntil, found, failed, unsearched, now } = run;
  const images = found.map(({ image }) => image);
  const more = failed.length - mostReportedFailed;
  const failures = [
    ...failed.slice(0, mostReportedFailed).map((failure) => failure.slice(0, 500)),
    ...(more > 0 ? [`${more} more failed`] : []),
    ...(unsearched > 0 ? [`${unsearched} repositories were not asked`] : []),
  ];
  const until = limitedUntil?.toISOString();
  const reason = [...(until === undefined ? [] : [`${host} asks not to be asked until ${until}`]), ...failures].join('; ');
  const nothing = known.services.length === 0 ? 'baseline' : 'nothing-new';
  Context.current().log.debug(`${host} was searched`, { found: found.length, failed: failed.length });
  run.report({
    timestamp: now().toISOString(),
    event_type: 'registry_searched',
    source: 'search',
    registry: host,
    services: [...new Set(found.map(({ service }) => service))],
    action: 'search',
    status: until !== undefined ? 'rate-limited' : failed.length > 0 ? 'failed' : 'searched',
    repositories: [],
    images: [...new Set(images.map((image) => image.slice(0, image.lastIndexOf(':', image.indexOf('@')))))],
    outcome: found.length > 0 ? 'found' : failed.length > 0 ? 'failed' : nothing,
    found: images.slice(0, mostReportedFound),
    ...(reason !== '' && { reason: reason.slice(0, 2_000) }),
  });
  return {
    memory: {
      services: watermarks.all(plans),
      at: Math.floor(began / 1_000),
      ...(resumeAt !== undefined && { resumeAt }),
      ...(until !== undefined && { limitedUntil: until }),
    },
    found: images.slice(0, mostReportedFound),
    failed: failures,
  };
}
