import type { Octokit } from 'octokit';
import type { RedeliverActivities, RedeliverySummary } from '../contracts/activities/pushes.ts';
import type { RedeliveryEntry } from '../domain/audit.ts';
import { messageOf } from '../domain/errors.ts';
import { RateLimit, Refusal } from '../domain/failures.ts';
import {
  createGitHubDeliveries,
  type GitHubDeliveries,
  type HookOwner,
  type LostDelivery,
} from '../platform/github/deliveries.ts';
import { answering, type Beat } from './boundary.ts';

/** Whose webhooks, and which of their deliveries, Landfall asks for again. */
export interface Redelivery {
  readonly owners: readonly HookOwner[];
  /** Of our receiver: `/webhook/image-published`. */
  readonly path: string;
  /** Where the world reaches our webhooks. Absent: every webhook whose URL ends with the path is taken for ours. */
  readonly publicUrl?: string;
  /** The events that the receiver takes. */
  readonly events: readonly string[];
  readonly report: (entry: RedeliveryEntry) => void;
}

export interface RedeliverDependencies {
  /** A client for `owner/name`, or for an organization, whose errors are classified. */
  readonly clientFor: (named: string) => Promise<Octokit>;
  /** Absent: no webhooks are configured to be asked for. */
  readonly redelivery?: Redelivery;
}

/** GitHub takes some 80 writes a minute; what is left over is asked for at the next look. */
const mostAtOnce = 50;

/** Has failed deliveries of webhooks sent again. An owner that cannot be asked keeps no other from being asked; a rate limit does. */
export function createRedeliver({ clientFor, redelivery }: RedeliverDependencies): RedeliverActivities {
  const deliveries = createGitHubDeliveries(clientFor);
  return {
    redeliverWebhooks: answering(async (_input, beat): Promise<RedeliverySummary> => {
      if (redelivery === undefined) return { kind: 'checked', redelivered: 0, problems: [] };
      const ask = askOnce(deliveries, beat);
      const looks: Look[] = [];
      for (const owner of redelivery.owners) looks.push(await lookAt(owner, redelivery, deliveries, ask));
      return {
        kind: 'checked',
        redelivered: looks.reduce((sum, { redelivered }) => sum + redelivered.length, 0),
        problems: looks.flatMap(({ owner, reason }) => (reason === undefined ? [] : [`${owner}: ${reason}`])),
      };
    }),
  };
}

interface Look {
  readonly owner: string;
  readonly redelivered: readonly string[];
  readonly reason?: string;
}

/** @returns whether it was asked for now, and not before */
type Ask = (owner: HookOwner, lost: LostDelivery) => Promise<boolean>;

/** GitHub lists a new attempt only once it is made, so an activity that is tried again remembers what it has asked for. */
function askOnce(deliveries: GitHubDeliveries, beat: Beat): Ask {
  const asked = new Set<unknown>(Array.isArray(beat.before) ? beat.before : []);
  return async (owner, lost) => {
    const key = `${lost.hook}:${lost.attempt}`;
    if (asked.has(key)) return false;
    await deliveries.redeliver(owner, lost);
    asked.add(key);
    beat.note([...asked]);
    return true;
  };
}

async function lookAt(owner: HookOwner, redelivery: Redelivery, deliveries: GitHubDeliveries, ask: Ask): Promise<Look> {
  const name = 'organization' in owner ? owner.organization : owner.repository;
  const redelivered: string[] = [];
  const tell = (status: LookStatus, reason?: string): Look => {
    redelivery.report(entryOf(name, status, redelivered, reason));
    return { owner: name, redelivered, ...(reason !== undefined && { reason }) };
  };
  try {
    const reason = await redeliverLost(owner, redelivery, deliveries, async (lost) => {
      if (await ask(owner, lost)) redelivered.push(lost.guid);
    });
    return tell(reason === undefined ? 'checked' : 'failed', reason);
  } catch (error) {
    const reason = messageOf(error);
    if (error instanceof RateLimit) {
      tell('rate-limited', reason);
      throw error;
    }
    // Broken or refused: the next look is in a few minutes, and other owners are not to wait for it.
    return tell('failed', reason);
  }
}

/** @returns what was not possible, if anything */
async function redeliverLost(
  owner: HookOwner,
  { path, publicUrl, events }: Redelivery,
  deliveries: GitHubDeliveries,
  ask: (lost: LostDelivery) => Promise<void>,
): Promise<string | undefined> {
  const { hooks, lost } = await deliveries.findLost(owner, { leadsHere: leadingTo(path, publicUrl), events, now: new Date() });
  if (hooks === 0) {
    return `expected an active webhook that leads to ${publicUrl ?? '…'}${path}, found none: add it, or correct forge.github.hooks`;
  }
  let problem: string | undefined;
  for (const delivery of lost.slice(0, mostAtOnce)) {
    try {
      await ask(delivery);
    } catch (error) {
      // One that GitHub has forgotten meanwhile, say.
      if (!(error instanceof Refusal)) throw error;
      problem ??= error.message;
    }
  }
  return problem;
}

/** Without regard to a query and to slashes at the end. */
function leadingTo(path: string, publicUrl: string | undefined): (url: string) => boolean {
  const bare = (url: string): string | undefined => {
    if (!URL.canParse(url)) return undefined;
    const { origin, pathname } = new URL(url);
    return `${origin}${pathname.replace(/\/+$/, '')}`;
  };
  if (publicUrl === undefined) return (url) => bare(url)?.endsWith(path) === true;
  const expected = bare(`${publicUrl}${path}`);
  return (url) => bare(url) === expected;
}

type LookStatus = 'checked' | 'rate-limited' | 'failed';

function entryOf(owner: string, status: LookStatus, redelivered: readonly string[], reason: string | undefined): RedeliveryEntry {
  const found = redelivered.length > 0 ? 'redelivered' : 'nothing-failed';
  return {
    timestamp: new Date().toISOString(),
    event_type: 'deliveries_checked',
    source: 'github',
    outcome: status === 'checked' ? found : 'failed',
    services: [],
    action: 'redeliver',
    status,
    repositories: [owner],
    redelivered: [...redelivered],
    ...(reason !== undefined && { reason }),
  };
}
