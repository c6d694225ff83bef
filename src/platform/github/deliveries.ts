import type { Octokit } from 'octokit';
import { Refusal } from '../../domain/failures.ts';
import { answeredWith } from './errors.ts';

/** Whose webhooks: those of a repository (`owner/name`), or of an organization. */
export type HookOwner = { readonly repository: string } | { readonly organization: string };

/** One attempt of GitHub's to deliver an event to a webhook, as it lists them. */
export interface DeliveryAttempt {
  readonly id: number;
  /** Of the event: the attempts to deliver it again share it. */
  readonly guid: string;
  readonly event: string;
  /** ISO 8601 */
  readonly delivered_at: string;
  readonly redelivery: boolean;
  /** 0 if there was no answer. */
  readonly status_code: number;
}

/** An event that has not arrived, however often it was sent. */
export interface LostDelivery {
  readonly hook: number;
  readonly guid: string;
  /** The last one. */
  readonly attempt: number;
}

export interface LostQuery {
  /** Which webhooks are asked about, by the URL that they lead to. */
  readonly isOurs: (url: string) => boolean;
  /** Names of events; others are not worth to be sent again. */
  readonly events: readonly string[];
  readonly now: Date;
}

export interface LostDeliveries {
  /** Of the webhooks that lead here. */
  readonly hooks: number;
  /** Oldest first. */
  readonly lost: readonly LostDelivery[];
}

export interface GitHubDeliveries {
  /** What is worth another attempt now. */
  findLost(owner: HookOwner, query: LostQuery): Promise<LostDeliveries>;
  /** GitHub only takes note here, and delivers a moment later. */
  redeliver(owner: HookOwner, lost: LostDelivery): Promise<void>;
}

/** GitHub keeps deliveries for three days, and sends none again that is older. */
const keptMs = 3 * 24 * 60 * 60_000;
/** The first one is GitHub's own. */
const mostAttempts = 3;
/** The second attempt is for a short outage, at once; the third is for a long one. */
const pauseBeforeLastMs = 30 * 60_000;
const perPage = 100;
/** GitHub takes at most 250 webhooks of an organization, and 20 of an event in a repository. */
const mostHookPages = 3;
const mostDeliveryPages = 10;

/**
 * Failed deliveries of webhooks, which GitHub does not repeat automatically.
 * @param clientFor takes `owner/name`, or the name of an organization
 * @see https://docs.github.com/webhooks/using-webhooks/handling-failed-webhook-deliveries
 */
export function createGitHubDeliveries(clientFor: (owner: string) => Promise<Octokit>): GitHubDeliveries {
  return {
    async findLost(owner, { isOurs, events, now }) {
      const api = await openHooks(clientFor, owner);
      const hooks = (await collect(api.hooks(), mostHookPages)).filter(({ active, url }) => active && isOurs(url));
      const lost: LostDelivery[] = [];
      for (const { id } of hooks) {
        const since = now.getTime() - keptMs;
        const attempts = await collect(api.attempts(id), mostDeliveryPages, (last) => Date.parse(last.delivered_at) < since);
        const recent = attempts.filter((attempt) => events.includes(attempt.event) && Date.parse(attempt.delivered_at) >= since);
        lost.push(...lostAmong(recent, now).map((attempt) => ({ hook: id, guid: attempt.guid, attempt: attempt.id })));
      }
      return { hooks: hooks.length, lost };
    },
    async redeliver(owner, { hook, attempt }) {
      const api = await openHooks(clientFor, owner);
      await api.redeliver(hook, attempt);
    },
  };
}

/** @param attempts newest first, as GitHub lists them @returns the last attempt of each event that is worth another one, oldest first */
export function lostAmong(attempts: readonly DeliveryAttempt[], now: Date): readonly DeliveryAttempt[] {
  const byGuid = new Map<string, DeliveryAttempt[]>();
  for (const attempt of attempts) byGuid.set(attempt.guid, [...(byGuid.get(attempt.guid) ?? []), attempt]);
  return [...byGuid.values()].flatMap((ofOne) => (isWorthAnother(ofOne, now) ? ofOne.slice(0, 1) : [])).reverse();
}

function isWorthAnother(attempts: readonly DeliveryAttempt[], now: Date): boolean {
  if (attempts.some(({ status_code: status }) => status >= 200 && status < 300)) return false;
  // The list may end between the attempts of an event, and the first one is the oldest.
  const made = attempts.length + (attempts.every(({ redelivery }) => redelivery) ? 1 : 0);
  if (made >= mostAttempts) return false;
  const last = Math.max(...attempts.map((attempt) => Date.parse(attempt.delivered_at)));
  return made < mostAttempts - 1 || now.getTime() - last >= pauseBeforeLastMs;
}

interface Hook {
  readonly id: number;
  readonly active: boolean;
  readonly url: string;
}

/** The same questions about either kind of owner. */
interface Hooks {
  hooks(): AsyncIterable<readonly Hook[]>;
  /** Unfiltered: GitHub's own filter for failures leaves out those without any answer. */
  attempts(hook: number): AsyncIterable<readonly DeliveryAttempt[]>;
  redeliver(hook: number, attempt: number): Promise<unknown>;
}

async function openHooks(clientFor: (owner: string) => Promise<Octokit>, owner: HookOwner): Promise<Hooks> {
  if ('organization' in owner) return hooksOfOrganization(await clientFor(owner.organization), owner.organization);
  return hooksOfRepository(await clientFor(owner.repository), owner.repository);
}

function hooksOfRepository({ rest, paginate }: Octokit, fullName: string): Hooks {
  const [owner = '', repo = ''] = fullName.split('/');
  const named = { owner, repo, per_page: perPage };
  return {
    hooks: () => pages(paginate.iterator(rest.repos.listWebhooks, named), fullName, hookOf),
    attempts: (hook_id) =>
      pages(
        paginate.iterator(rest.repos.listWebhookDeliveries, { ...named, hook_id }),
        fullName,
        (attempt): DeliveryAttempt => attempt,
      ),
    redeliver: (hook_id, delivery_id) => rest.repos.redeliverWebhookDelivery({ owner, repo, hook_id, delivery_id }),
  };
}

function hooksOfOrganization({ rest, paginate }: Octokit, org: string): Hooks {
  const named = { org, per_page: perPage };
  return {
    hooks: () => pages(paginate.iterator(rest.orgs.listWebhooks, named), org, hookOf),
    attempts: (hook_id) =>
      pages(
        paginate.iterator(rest.orgs.listWebhookDeliveries, { ...named, hook_id }),
        org,
        (attempt): DeliveryAttempt => attempt,
      ),
    redeliver: (hook_id, delivery_id) => rest.orgs.redeliverWebhookDelivery({ org, hook_id, delivery_id }),
  };
}

function hookOf({ id, active, config }: { id: number; active: boolean; config: { url?: string } }): Hook {
  return { id, active, url: config.url ?? '' };
}

async function* pages<Given, Item>(
  answers: AsyncIterable<{ readonly data: readonly Given[] }>,
  owner: string,
  itemOf: (given: Given) => Item,
): AsyncIterable<readonly Item[]> {
  try {
    for await (const { data } of answers) yield data.map(itemOf);
  } catch (error) {
    throw answeredWith(error, 404) ? unreadable(owner, error) : error;
  }
}

async function collect<Item>(
  from: AsyncIterable<readonly Item[]>,
  mostPages: number,
  isEnough: (last: Item) => boolean = () => false,
): Promise<Item[]> {
  const items: Item[] = [];
  let seen = 0;
  for await (const page of from) {
    items.push(...page);
    seen += 1;
    const last = page.at(-1);
    if (seen >= mostPages || last === undefined || isEnough(last)) break;
  }
  return items;
}

/** GitHub says so too where the token may not see webhooks. */
function unreadable(owner: string, cause: unknown): Refusal {
  const message = `expected to read the webhooks of ${owner}, and GitHub shows none: check forge.github.hooks, and that the token may read and write webhooks (classic tokens: admin:repo_hook, admin:org_hook)`;
  return new Refusal('ForgeRefused', message, [], { cause });
}
