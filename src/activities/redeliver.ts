import type { RedeliverActivities, RedeliverySummary } from '../contracts/activities/pushes.ts';
import { messageOf } from '../domain/errors.ts';
import { RateLimit, Refusal } from '../domain/failures.ts';
import {
  createGitHubDeliveries,
  type GitHubDeliveries,
  type HookOwner,
  type LostDelivery,
} from '../platform/github/deliveries.ts';
import { answering, type Heartbeat } from './boundary.ts';
import type { Dependencies, Redelivery } from './dependencies.ts';

/** GitHub takes some 80 writes a minute; the rest is requested by the next run. */
const mostAtOnce = 50;

/** Requests failed webhook deliveries again. An owner that fails does not stop the others; a rate limit does. */
export function createRedeliver({ clientFor, redelivery }: Pick<Dependencies, 'clientFor' | 'redelivery'>): RedeliverActivities {
  const deliveries = createGitHubDeliveries(clientFor);
  return {
    redeliverWebhooks: answering(async (_input, heartbeat): Promise<RedeliverySummary> => {
      if (redelivery === undefined) return { kind: 'checked', redelivered: 0, problems: [] };
      const request = requestOnce(deliveries, heartbeat);
      const checks: OwnerCheck[] = [];
      for (const owner of redelivery.owners) checks.push(await checkOwner(owner, redelivery, deliveries, request));
      return {
        kind: 'checked',
        redelivered: checks.reduce((sum, { redelivered }) => sum + redelivered, 0),
        problems: checks.flatMap(({ problem }) => problem ?? []),
      };
    }),
  };
}

/** `problem`: `OWNER: why` */
interface OwnerCheck {
  readonly redelivered: number;
  readonly problem?: string;
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
  let status = 'checked';
  let reason: string | undefined;
  try {
    reason = await redeliverLost(owner, redelivery, deliveries, async (lost) => {
      if (await request(owner, lost)) redelivered.push(lost.guid);
    });
    if (reason !== undefined) status = 'failed';
  } catch (error) {
    reason = messageOf(error);
    status = error instanceof RateLimit ? 'rate-limited' : 'failed';
    // Broken or refused: the next run is in a few minutes, and other owners should not wait for it.
    if (error instanceof RateLimit) throw error;
  } finally {
    const found = redelivered.length > 0 ? 'redelivered' : 'nothing-failed';
    redelivery.report({
      timestamp: new Date().toISOString(),
      event_type: 'deliveries_checked',
      source: 'github',
      outcome: status === 'checked' ? found : 'failed',
      services: [],
      action: 'redeliver',
      status,
      images: [],
      repositories: [name],
      redelivered,
      ...(reason !== undefined && { reason }),
    });
  }
  return { redelivered: redelivered.length, ...(reason !== undefined && { problem: `${name}: ${reason}` }) };
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
    const parsed = URL.parse(url);
    return parsed === null ? undefined : `${parsed.origin}${parsed.pathname.replace(/\/+$/, '')}`;
  };
  if (publicUrl === undefined) return (url) => bare(url)?.endsWith(path) === true;
  const expected = bare(`${publicUrl}${path}`);
  return (url) => bare(url) === expected;
}
