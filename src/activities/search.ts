import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { SearchActivities, SearchInput } from '../contracts/activities/pushes.ts';
import { resolveStartOptions, rolloutId } from '../contracts/start-options.ts';
import type { SearchEntry } from '../domain/audit.ts';
import { messageOf } from '../domain/errors.ts';
import { RateLimit, Refusal } from '../domain/failures.ts';
import { type Digest, formatReference, type Repository, type Tag } from '../domain/image-reference.ts';
import { dispatchOfPush, type Plan } from '../domain/plan.ts';
import type { Known, SearchMemory, SearchOutcome } from '../domain/search.ts';
import { changeToAsk, compareSight, type Sight, type Sighted } from '../domain/search-sight.ts';
import type { Forge } from '../forges/forge.ts';
import { concurrently } from '../platform/registry/concurrently.ts';
import type { Registry } from '../platform/registry/registry.ts';
import { answering, type Beat } from './boundary.ts';
import { leaveWhenCancelled } from './leave-when-cancelled.ts';
import { type BaseHolds, createBaseHolds } from './search-baseline.ts';
import { lookAtRepository, type Seen } from './search-look.ts';
import { beforeOf, knownNow, type Notes, notesOn } from './search-memory.ts';
import { standingOf } from './search-standing.ts';

export interface SearchDependencies {
  readonly registry: Registry;
  readonly client: Client;
  /** @throws Refusal where the repository's forge is not configured */
  readonly forgeFor: (repository: string) => Forge;
  /** The services of a registry that name one repository, as the configuration has them now. */
  readonly plansOfHost: (host: string) => readonly Plan[];
  /** Says in metrics and audit what was found. Called once at the end of each search. */
  readonly report: (entry: SearchEntry) => void;
  readonly now?: () => Date;
}

const repositoriesAtOnce = 4;
/** After so many repositories in a row that could not be asked, the registry itself is taken to be away. */
const mostFailuresInRow = 5;
/** Below the time that the workflow gives; the next search goes on with the rest. */
const longestMs = 5 * 60_000;
/** Clocks of workers and of Temporal differ. */
const clockSkewMs = 60_000;
const mostToldFound = 100;
const mostToldFailed = 10;
/** Creation times that are kept; beyond that they are asked for anew. */
const mostRemembered = 10_000;

/** One search, as far as it has come. */
interface Search extends Required<SearchDependencies> {
  readonly host: string;
  readonly notes: Notes;
  readonly baseHolds: BaseHolds;
  readonly creationTimes: Map<Digest, string | undefined>;
  readonly began: number;
  readonly beat: Beat;
  /** Rollout ids that an earlier try, or this one, has asked for. */
  readonly asked: Set<string>;
  readonly found: { readonly service: string; readonly image: string }[];
  readonly failed: string[];
  failuresInRow: number;
  unasked: number;
  limitedUntil?: Date;
  resumeAt?: Repository;
}

export function createSearch(dependencies: SearchDependencies): SearchActivities {
  const { now = () => new Date(), forgeFor, plansOfHost } = dependencies;
  const creationTimes = new Map<Digest, string | undefined>();
  return {
    searchRegistry: answering(({ registry: host, known }: SearchInput, beat) =>
      leaveWhenCancelled(async () => {
        if (creationTimes.size > mostRemembered) creationTimes.clear();
        const search: Search = {
          ...dependencies,
          now,
          host,
          notes: notesOn(known),
          baseHolds: createBaseHolds(forgeFor),
          creationTimes,
          began: now().getTime(),
          beat,
          asked: new Set(Array.isArray(beat.before) ? beat.before.map(String) : []),
          found: [],
          failed: [],
          failuresInRow: 0,
          unasked: 0,
        };
        // Others have their pushes passed on as they come: there is nothing of them that could be looked up.
        const plans = plansOfHost(host).filter((plan) => dispatchOfPush(plan) === undefined);
        await concurrently(repositoriesOf(plans, known.resumeAt), repositoriesAtOnce, (group) => searchRepository(search, group));
        const outcome = outcomeOf(search, plans);
        search.report(entryOf(search, known));
        return outcome;
      }),
    ),
  };
}

interface Group {
  readonly repository: Repository;
  readonly plans: readonly Plan[];
}

/** Beginning with the one that the search before did not come to. */
function repositoriesOf(plans: readonly Plan[], resumeAt: Repository | undefined): Group[] {
  const groups = new Map<Repository, Plan[]>();
  for (const plan of plans) groups.set(plan.repository, [...(groups.get(plan.repository) ?? []), plan]);
  const all = [...groups].map(([repository, plans]) => ({ repository, plans }));
  const start = Math.max(
    0,
    all.findIndex(({ repository }) => repository === resumeAt),
  );
  return [...all.slice(start), ...all.slice(0, start)];
}

/** What the registry answers counts for its repository alone; where Temporal does not answer, the search is tried again. */
async function searchRepository(search: Search, { repository, plans }: Group): Promise<void> {
  if (isOver(search)) {
    search.resumeAt ??= repository;
    search.unasked += 1;
    return;
  }
  const seen = await lookAt(search, repository, plans);
  for (const one of seen) await settle(search, one);
}

function isOver({ limitedUntil, failuresInRow, began, now }: Search): boolean {
  return limitedUntil !== undefined || failuresInRow >= mostFailuresInRow || now().getTime() - began > longestMs;
}

async function lookAt(search: Search, repository: Repository, plans: readonly Plan[]): Promise<Seen[]> {
  try {
    const seen = await lookAtRepository({ ...search, repository, plans });
    search.failuresInRow = 0;
    if (seen.every(({ chosen }) => chosen.length === 0) && seen.every((one) => one.seen === undefined)) {
      search.failed.push(`${repository}: none of the followed tags is there`);
    }
    return seen;
  } catch (error) {
    if (error instanceof RateLimit) {
      search.limitedUntil ??= error.until;
      search.resumeAt ??= repository;
      return [];
    }
    // A "no" for one repository says nothing of the others.
    search.failuresInRow = error instanceof Refusal ? 0 : search.failuresInRow + 1;
    search.failed.push(`${repository}: ${messageOf(error)}`);
    return [];
  }
}

/** Takes up what was pushed, and remembers what was seen. */
async function settle(search: Search, seen: Seen): Promise<void> {
  const { plan, chosen } = seen;
  const before = search.notes.of(plan);
  const { pushed, first } = compareSight(plan, before && beforeOf(before), chosen);
  const { lacking, unsure } = await compareWithBase(search, plan, first, before === undefined);
  const running = await takeUp(search, plan, { pushed, first: lacking }, before);
  // What the base branch could not be asked about is seen for the first time once more.
  if (unsure.length > 0 && (before === undefined || plan.tags.kind !== 'exact')) return;
  // How it ends is not known yet: what is rejected for a reason of the moment is taken up by a later look.
  if (running.length > 0 && plan.tags.kind !== 'exact') return;
  const { plan: _plan, chosen: _chosen, ...more } = seen;
  const settled = chosen.filter(({ tag }) => !running.includes(tag));
  const known = knownNow(plan, before, settled, more);
  search.notes.note({ ...known, tags: known.tags.filter(([tag]) => !unsure.includes(tag)) });
}

interface Compared {
  /** The base branch has something else. */
  readonly lacking: readonly Sighted[];
  readonly unsure: readonly Tag[];
}

/**
 * Without a base branch nothing tells a push from what has been there for a year, and nothing is started. Nor where it holds one of several
 * exact tags at the first look: nobody knows whether the others came later, and taking them up may be a step back.
 */
async function compareWithBase(search: Search, plan: Plan, first: readonly Sighted[], isBaseline: boolean): Promise<Compared> {
  const change = changeToAsk(plan);
  if (change === undefined) return { lacking: [], unsure: [] };
  const { repository } = plan;
  const held: Sighted[] = [];
  const lacking: Sighted[] = [];
  const unsure: Tag[] = [];
  for (const image of first) {
    try {
      ((await search.baseHolds(change, { repository, ...image })) ? held : lacking).push(image);
    } catch (error) {
      unsure.push(image.tag);
      search.failed.push(`${plan.service}: ${messageOf(error)}`);
    }
  }
  return { lacking: isBaseline && held.length > 0 ? [] : lacking, unsure };
}

/**
 * One signal for all tags of a service: the look-up looks at all of them anyway.
 * @returns the tags whose rollouts are under way
 */
async function takeUp(search: Search, plan: Plan, { pushed, first }: Sight, before: Known | undefined): Promise<Tag[]> {
  const { repository, service } = plan;
  // A rollout that was over before the last look is not the one of what was pushed after it.
  const since = before === undefined ? 0 : search.notes.lookedAt(before) - clockSkewMs;
  const missed: Sighted[] = [];
  const running: Tag[] = [];
  for (const [image, from] of [...first.map((one) => [one, 0] as const), ...pushed.map((one) => [one, since] as const)]) {
    const id = rolloutId(service, image);
    // What an earlier try of this search asked for may run by now, and was found by it nevertheless.
    const standing = search.asked.has(id) ? 'missed' : await standingOf(search.client, id, from);
    if (standing === 'missed') missed.push(image);
    if (standing === 'running') running.push(image.tag);
  }
  const ids = missed.map((image) => rolloutId(service, image));
  const [unasked] = missed.filter((_, index) => !search.asked.has(ids[index] ?? ''));
  if (unasked !== undefined) {
    const push = {
      source: 'search',
      deliveryId: randomUUID(),
      repository,
      tag: unasked.tag,
      receivedAt: search.now().toISOString(),
    };
    await search.client.workflow.signalWithStart('resolve', resolveStartOptions({ plan, push }));
    for (const id of ids) search.asked.add(id);
    search.beat.note([...search.asked].slice(-mostToldFound));
  }
  for (const { tag, digest } of missed) search.found.push({ service, image: formatReference({ repository, tag, digest }) });
  return running;
}

function outcomeOf(search: Search, plans: readonly Plan[]): SearchOutcome {
  const { notes, began, resumeAt, limitedUntil, found } = search;
  return {
    memory: {
      services: notes.kept(plans),
      at: Math.floor(began / 1_000),
      ...(resumeAt !== undefined && { resumeAt }),
      ...(limitedUntil !== undefined && { limitedUntil: limitedUntil.toISOString() }),
    },
    found: found.slice(0, mostToldFound).map(({ image }) => image),
    failed: toldFailures(search),
  };
}

function toldFailures({ failed, unasked }: Search): string[] {
  const rest = failed.length - mostToldFailed;
  return [
    ...failed.slice(0, mostToldFailed).map((failure) => failure.slice(0, 500)),
    ...(rest > 0 ? [`${rest} more failed`] : []),
    ...(unasked > 0 ? [`${unasked} repositories were not asked`] : []),
  ];
}

function entryOf(search: Search, known: SearchMemory): SearchEntry {
  const { host, found, failed, limitedUntil, now } = search;
  const isFirst = known.services.length === 0;
  const told = toldFailures(search);
  const reason = [...(limitedUntil ? [`${host} asks not to be asked until ${limitedUntil.toISOString()}`] : []), ...told];
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
    found: found.slice(0, mostToldFound).map(({ image }) => image),
    ...(reason.length > 0 && { reason: reason.join('; ').slice(0, 2_000) }),
  };
}
