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
export function createGitHubDeliveries(clientFor: (owner: string) => Promise<Octokit>) {
  return {
    /**
     * @param query `isOurs`: which webhooks are asked about, by the URL that they lead to; `events`: the names of those worth sending again
     * @returns how many webhooks lead here, and what is worth another attempt now, oldest first
     */
    async findLost(
      owner: HookOwner,
      { isOurs, events, now }: { isOurs: (url: string) => boolean; events: readonly string[]; now: Date },
    ): Promise<{ readonly hooks: number; readonly lost: readonly LostDelivery[] }> {
      const { octokit, base, named } = await openHooks(clientFor, owner);
      const pages = <Item>(route: string, more = {}) =>
        octokit.paginate.iterator<Item>(`GET ${base}${route}`, { ...named, ...more, per_page: perPage });
      const all = await collect(owner, pages<{ id: number; active: boolean; config: { url?: string } }>('/hooks'), mostHookPages);
      const hooks = all.filter(({ active, config: { url = '' } }) => active && isOurs(url));
      const lost: LostDelivery[] = [];
      for (const { id } of hooks) {
        const since = now.getTime() - keptMs;
        // Unfiltered: GitHub's own filter for failures leaves out those without any answer.
        const found = pages<DeliveryAttempt>('/hooks/{hook_id}/deliveries', { hook_id: id });
        const attempts = await collect(owner, found, mostDeliveryPages, (last) => Date.parse(last.delivered_at) < since);
        const recent = attempts.filter((attempt) => events.includes(attempt.event) && Date.parse(attempt.delivered_at) >= since);
        lost.push(...lostAmong(recent, now).map((attempt) => ({ hook: id, guid: attempt.guid, attempt: attempt.id })));
      }
      return { hooks: hooks.length, lost };
    },
    /** GitHub only takes note here, and delivers a moment later. */
    async redeliver(owner: HookOwner, { hook: hook_id, attempt: delivery_id }: LostDelivery): Promise<void> {
      const { octokit, base, named } = await openHooks(clientFor, owner);
      await octokit.request(`POST ${base}/hooks/{hook_id}/deliveries/{delivery_id}/attempts`, { ...named, hook_id, delivery_id });
    },
  };
}

export type GitHubDeliveries = ReturnType<typeof createGitHubDeliveries>;

async function openHooks(
  clientFor: (owner: string) => Promise<Octokit>,
  owner: HookOwner,
): Promise<{ octokit: Octokit; base: `/${string}`; named: Readonly<Record<string, string>> }> {
  if ('organization' in owner) {
    return { octokit: await clientFor(owner.organization), base: '/orgs/{org}', named: { org: owner.organization } };
  }
  const [name = '', repo = ''] = owner.repository.split('/');
  return { octokit: await clientFor(owner.repository), base: '/repos/{owner}/{repo}', named: { owner: name, repo } };
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

/** @throws Refusal where GitHub answers 404: it does so too where the token may not see webhooks */
async function collect<Item>(
  owner: HookOwner,
  answers: AsyncIterable<{ data: readonly Item[] }>,
  mostPages: number,
  isEnough: (last: Item) => boolean = () => false,
): Promise<Item[]> {
  const pages: (readonly Item[])[] = [];
  try {
    for await (const { data } of answers) {
      pages.push(data);
      const last = data.at(-1);
      if (pages.length >= mostPages || last === undefined || isEnough(last)) break;
    }
  } catch (error) {
    if (!answeredWith(error, 404)) throw error;
    const name = 'organization' in owner ? owner.organization : owner.repository;
    const message = `expected to read the webhooks of ${name}, and GitHub shows none: check forge.github.hooks, and that the token may read and write webhooks (classic tokens: admin:repo_hook, admin:org_hook)`;
    throw new Refusal('ForgeRefused', message, [], { cause: error });
  }
  return pages.flat();
}
