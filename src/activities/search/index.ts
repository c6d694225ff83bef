import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { SearchActivities, SearchInput } from '../../contracts/activities/pushes.ts';
import { resolveStartOptions, rolloutId } from '../../contracts/start-options.ts';
import type { SearchEntry } from '../../domain/audit.ts';
import { concurrently } from '../../domain/concurrently.ts';
import { messageOf } from '../../domain/errors.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { type Digest, formatReference, type Repository, type Tag } from '../../domain/image-reference.ts';
import { dispatchOfPush, type Plan } from '../../domain/plan.ts';
import type { SearchMemory, SearchOutcome, Watermark } from '../../domain/search.ts';
import { changeToAsk, compareSnapshots, type SnapshotComparison, type TagSnapshot } from '../../domain/search-snapshot.ts';
import type { Forge } from '../../forges/forge.ts';
import type { Registry } from '../../platform/registry/registry.ts';
import { answering, type Heartbeat, leaveWhenCancelled } from '../boundary.ts';
import { type BaseHolds, createBaseHolds } from './base-branch.ts';
import { readSnapshots, type ServiceSnapshot } from './repository-tags.ts';
import { rolloutStatus } from './rollout-status.ts';
import { nextWatermark, openWatermarks, previousOf, type Watermarks } from './watermarks.ts';

export interface SearchDependencies {
  readonly registry: Registry;
  readonly client: Client;
  /** @throws Refusal if the repository's forge is not configured */
  readonly forgeFor: (repository: string) => Forge;
  /** The services of a registry that name one repository, as the configuration has them now. */
  readonly plansOfHost: (host: string) => readonly Plan[];
  /** Reports to metrics and audit log. Called once at the end of each search. */
  readonly report: (entry: SearchEntry) => void;
  readonly now?: () => Date;
}

const repositoriesAtOnce = 4;
/** After so many failing repositories in a row, the registry itself counts as unreachable. */
const mostFailuresInRow = 5;
/** Below the time that the workflow gives; the next search goes on with the rest. */
const longestMs = 5 * 60_000;
/** Clocks of workers and of Temporal differ. */
const clockSkewMs = 60_000;
const mostReportedFound = 100;
const mostReportedFailed = 10;
/** Creation times to remember; beyond that they are forgotten and asked for again. */
const mostRemembered = 10_000;

/** One search, as far as it has come. */
interface SearchRun extends Required<SearchDependencies> {
  readonly host: string;
  readonly watermarks: Watermarks;
  readonly baseHolds: BaseHolds;
  readonly creationTimes: Map<Digest, string | undefined>;
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
  const { now = () => new Date(), forgeFor, plansOfHost } = dependencies;
  const creationTimes = new Map<Digest, string | undefined>();
  return {
    searchRegistry: answering(({ registry: host, known }: SearchInput, heartbeat) =>
      leaveWhenCancelled(async () => {
        if (creationTimes.size > mostRemembered) creationTimes.clear();
        const run: SearchRun = {
          ...dependencies,
          now,
          host,
          watermarks: openWatermarks(known),
          baseHolds: createBaseHolds(forgeFor),
          creationTimes,
          began: now().getTime(),
          heartbeat,
          requested: new Set(Array.isArray(heartbeat.previous) ? heartbeat.previous.map(String) : []),
          found: [],
          failed: [],
          failuresInRow: 0,
          unsearched: 0,
        };
        // Services that pass every push on have nothing that could be looked up.
        const plans = plansOfHost(host).filter((plan) => dispatchOfPush(plan) === undefined);
        await concurrently(repositoriesOf(plans, known.resumeAt), repositoriesAtOnce, (group) => searchRepository(run, group));
        const outcome = outcomeOf(run, plans);
        run.report(entryOf(run, known));
        return outcome;
      }),
    ),
  };
}

interface RepositoryGroup {
  readonly repository: Repository;
  readonly plans: readonly Plan[];
}

/** Begins with the repository that the previous search did not reach. */
function repositoriesOf(plans: readonly Plan[], resumeAt: Repository | undefined): RepositoryGroup[] {
  const groups = new Map<Repository, Plan[]>();
  for (const plan of plans) groups.set(plan.repository, [...(groups.get(plan.repository) ?? []), plan]);
  const all = [...groups].map(([repository, plans]) => ({ repository, plans }));
  const start = Math.max(
    0,
    all.findIndex(({ repository }) => repository === resumeAt),
  );
  return [...all.slice(start), ...all.slice(0, start)];
}

/** A registry error counts for its repository alone; if Temporal does not answer, the whole search is retried. */
async function searchRepository(run: SearchRun, { repository, plans }: RepositoryGroup): Promise<void> {
  if (isOver(run)) {
    run.resumeAt ??= repository;
    run.unsearched += 1;
    return;
  }
  for (const snapshot of await readRepository(run, repository, plans)) await takeUpPushes(run, snapshot);
}

function isOver({ limitedUntil, failuresInRow, began, now }: SearchRun): boolean {
  return limitedUntil !== undefined || failuresInRow >= mostFailuresInRow || now().getTime() - began > longestMs;
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
  const { plan, chosen } = snapshot;
  const before = run.watermarks.of(plan);
  const { pushed, first } = compareSnapshots(plan, before && previousOf(before), chosen);
  const { lacking, unsure } = await compareWithBase(run, plan, first, before === undefined);
  const running = await startRollouts(run, plan, { pushed, first: lacking }, before);
  // If the base branch could not be read, the next search sees the service for the first time again.
  if (unsure.length > 0 && (before === undefined || plan.tags.kind !== 'exact')) return;
  // How these rollouts end is not known yet: if one is rejected for a passing reason, a later search must find its tag again.
  if (running.length > 0 && plan.tags.kind !== 'exact') return;
  const { plan: _plan, chosen: _chosen, ...more } = snapshot;
  const settled = chosen.filter(({ tag }) => !running.includes(tag));
  const known = nextWatermark(plan, before, settled, more);
  run.watermarks.set({ ...known, tags: known.tags.filter(([tag]) => !unsure.includes(tag)) });
}

interface BaseComparison {
  /** The base branch has something else. */
  readonly lacking: readonly TagSnapshot[];
  readonly unsure: readonly Tag[];
}

/**
 * Without a base branch we cannot tell a new push from an old image, so we start nothing. The same holds on the first search if the base
 * has one of several exact tags: the others may be older, and deploying them may be a step back.
 */
async function compareWithBase(
  run: SearchRun,
  plan: Plan,
  first: readonly TagSnapshot[],
  isBaseline: boolean,
): Promise<BaseComparison> {
  const change = changeToAsk(plan);
  if (change === undefined) return { lacking: [], unsure: [] };
  const { repository } = plan;
  const held: TagSnapshot[] = [];
  const lacking: TagSnapshot[] = [];
  const unsure: Tag[] = [];
  for (const image of first) {
    try {
      ((await run.baseHolds(change, { repository, ...image })) ? held : lacking).push(image);
    } catch (error) {
      unsure.push(image.tag);
      run.failed.push(`${plan.service}: ${messageOf(error)}`);
    }
  }
  return { lacking: isBaseline && held.length > 0 ? [] : lacking, unsure };
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
  const missed: TagSnapshot[] = [];
  const running: Tag[] = [];
  for (const [image, from] of [...first.map((one) => [one, 0] as const), ...pushed.map((one) => [one, since] as const)]) {
    const id = rolloutId(service, image);
    // What an earlier attempt of this search requested may run by now; it still counts as found by this search.
    const status = run.requested.has(id) ? 'missed' : await rolloutStatus(run.client, id, from);
    if (status === 'missed') missed.push(image);
    if (status === 'running') running.push(image.tag);
  }
  const ids = missed.map((image) => rolloutId(service, image));
  const [firstMissed] = missed.filter((_, index) => !run.requested.has(ids[index] ?? ''));
  if (firstMissed !== undefined) {
    const push = {
      source: 'search',
      deliveryId: randomUUID(),
      repository,
      tag: firstMissed.tag,
      receivedAt: run.now().toISOString(),
    };
    await run.client.workflow.signalWithStart('resolve', resolveStartOptions({ plan, push }));
    for (const id of ids) run.requested.add(id);
    run.heartbeat.record([...run.requested].slice(-mostReportedFound));
  }
  for (const { tag, digest } of missed) run.found.push({ service, image: formatReference({ repository, tag, digest }) });
  return running;
}

function outcomeOf(run: SearchRun, plans: readonly Plan[]): SearchOutcome {
  const { watermarks, began, resumeAt, limitedUntil, found } = run;
  return {
    memory: {
      services: watermarks.all(plans),
      at: Math.floor(began / 1_000),
      ...(resumeAt !== undefined && { resumeAt }),
      ...(limitedUntil !== undefined && { limitedUntil: limitedUntil.toISOString() }),
    },
    found: found.slice(0, mostReportedFound).map(({ image }) => image),
    failed: reportedFailures(run),
  };
}

function reportedFailures({ failed, unsearched }: SearchRun): string[] {
  const rest = failed.length - mostReportedFailed;
  return [
    ...failed.slice(0, mostReportedFailed).map((failure) => failure.slice(0, 500)),
    ...(rest > 0 ? [`${rest} more failed`] : []),
    ...(unsearched > 0 ? [`${unsearched} repositories were not asked`] : []),
  ];
}

function entryOf(run: SearchRun, known: SearchMemory): SearchEntry {
  const { host, found, failed, limitedUntil, now } = run;
  const isFirst = known.services.length === 0;
  const failures = reportedFailures(run);
  const reason = [...(limitedUntil ? [`${host} asks not to be asked until ${limitedUntil.toISOString()}`] : []), ...failures];
  Context.current().log.debug(`${host} was searched`, { found: found.length, failed: failed.length });
  return {
    timestamp: now().toISOString(),
    event_type: 'registry_searched',
    source: 'search',
    registry: host,
    services: [...new Set(found.map(({ service }) => service))],
    action: 'search',
    status: limitedUntil !== undefined ? 'rate-limited' : failed.length > 0 ? 'failed' : 'searched',
    repositories: [...new Set(found.map(({ image }) => image.slice(0, image.lastIndexOf(':', image.indexOf('@')))))],
    outcome: found.length > 0 ? 'found' : failed.length > 0 ? 'failed' : isFirst ? 'baseline' : 'nothing-new',
    found: found.slice(0, mostReportedFound).map(({ image }) => image),
    ...(reason.length > 0 && { reason: reason.join('; ').slice(0, 2_000) }),
  };
}
