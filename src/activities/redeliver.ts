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
import { answering, type Heartbeat } from './boundary.ts';

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

/** GitHub takes some 80 writes a minute; the rest is requested by the next run. */
const mostAtOnce = 50;

/** Requests failed webhook deliveries again. An owner that fails does not stop the others; a rate limit does. */
export function createRedeliver({ clientFor, redelivery }: RedeliverDependencies): RedeliverActivities {
  const deliveries = createGitHubDeliveries(clientFor);
  return {
    redeliverWebhooks: answering(async (_input, heartbeat): Promise<RedeliverySummary> => {
      if (redelivery === undefined) return { kind: 'checked', redelivered: 0, problems: [] };
      const request = requestOnce(deliveries, heartbeat);
      const checks: OwnerCheck[] = [];
      for (const owner of redelivery.owners) checks.push(await checkOwner(owner, redelivery, deliveries, request));
      return {
        kind: 'checked',
        redelivered: checks.reduce((sum, { redelivered }) => sum + redelivered.length, 0),
        problems: checks.flatMap(({ owner, reason }) => (reason === undefined ? [] : [`${owner}: ${reason}`])),
      };
    }),
  };
}

interface OwnerCheck {
  readonly owner: string;
  readonly redelivered: readonly string[];
  readonly reason?: string;
}

/** @returns whether it was requested now, and not before */
type RequestOnce = (owner: HookOwner, lost: LostDelivery) => Promise<boolean>;

/** GitHub lists a new attempt only once it is made, so a retried activity remembers what it has requested. */
function requestOnce(deliveries: GitHubDeliveries, heartbeat: Heartbeat): RequestOnce {
  const requested = new Set<unknown>(Array.isArray(heartbeat.previous) ? heartbeat.previous : []);
  return async (owner, lost) => {
    const key = `${lost.hook}:${lost.attempt}`;
    if (requested.has(key)) return false;
    await deliveries.redeliver(owner, lost);
    requested.add(key);
    heartbeat.record([...requested]);
    return true;
  };
}

async function checkOwner(
  owner: HookOwner,
  redelivery: Redelivery,
  deliveries: GitHubDeliveries,
  request: RequestOnce,
): Promise<OwnerCheck> {
  const name = 'organization' in owner ? owner.organization : owner.repository;
  const redelivered: string[] = [];
  const report = (status: OwnerCheckStatus, reason?: string): OwnerCheck => {
    redelivery.report(entryOf(name, status, redelivered, reason));
    return { owner: name, redelivered, ...(reason !== undefined && { reason }) };
  };
  try {
    const reason = await redeliverLost(owner, redelivery, deliveries, async (lost) => {
      if (await request(owner, lost)) redelivered.push(lost.guid);
    });
    return report(reason === undefined ? 'checked' : 'failed', reason);
  } catch (error) {
    const reason = messageOf(error);
    if (error instanceof RateLimit) {
      report('rate-limited', reason);
      throw error;
    }
    // Broken or refused: the next run is in a few minutes, and other owners should not wait for it.
    return report('failed', reason);
  }
}

/** @returns what was not possible, if anything */
async function redeliverLost(
  owner: HookOwner,
  { path, publicUrl, events }: Redelivery,
  deliveries: GitHubDeliveries,
  request: (lost: LostDelivery) => Promise<void>,
): Promise<string | undefined> {
  const { hooks, lost } = await deliveries.findLost(owner, { isOurs: leadingTo(path, publicUrl), events, now: new Date() });
  if (hooks === 0) {
    return `expected an active webhook that leads to ${publicUrl ?? '…'}${path}, found none: add it, or correct forge.github.hooks`;
  }
  let problem: string | undefined;
  for (const delivery of lost.slice(0, mostAtOnce)) {
    try {
      await request(delivery);
    } catch (error) {
      // For example, GitHub has deleted the delivery meanwhile.
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

type OwnerCheckStatus = 'checked' | 'rate-limited' | 'failed';

function entryOf(
  owner: string,
  status: OwnerCheckStatus,
  redelivered: readonly string[],
  reason: string | undefined,
): RedeliveryEntry {
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
