import { type ChannelListener, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, Gauge, type Registry } from 'prom-client';
import { boundedNames } from './rollout-metrics.ts';

/** What undici's channels tell. Headers are names and values in turn. */
interface SentRequest {
  readonly request: { readonly origin: string | URL };
  readonly response: { readonly statusCode: number; readonly headers: readonly (Buffer | string)[] };
}

/** Registries send us on to stores of their own, whose names change. */
const mostHosts = 60;

/** For whoever says what is left, and not until when. */
const usualWindowMs = 60 * 60_000;

/**
 * Counts the requests of this process to registries, forges and whoever else, and what is left of rate limits, until these begin anew: nobody
 * says so where nothing more is asked.
 * @returns stops it
 */
export function countRequests(registry: Registry): () => void {
  const named = boundedNames(mostHosts, '(others)');
  const registers = [registry];
  const sent = new Counter({
    name: 'landfall_requests_sent_total',
    help: 'Requests that were answered (by class: 2xx, 4xx, …) or not (none), by host.',
    ...{ labelNames: ['host', 'status'], registers },
  });
  const limits = new Map<string, { readonly labels: Record<'host' | 'resource', string>; readonly until: number }>();
  const left = new Gauge({
    name: 'landfall_rate_limit_remaining',
    help: 'Requests that a host still allows until its limit begins anew, as it said last, by resource.',
    ...{ labelNames: ['host', 'resource'], registers },
    collect() {
      for (const [key, { labels, until }] of limits) {
        if (until > Date.now()) continue;
        this.remove(labels);
        limits.delete(key);
      }
    },
  });
  const hostOf = ({ request }: SentRequest): string => named(URL.parse(String(request.origin))?.host ?? '');
  const listeners: Readonly<Record<string, (message: SentRequest) => void>> = {
    'undici:request:headers': (message) => {
      const host = hostOf(message);
      const { statusCode, headers } = message.response;
      sent.inc({ host, status: `${Math.floor(statusCode / 100)}xx` });
      const limit = limitIn(headers, Date.now());
      if (limit === undefined) return;
      const labels = { host, resource: limit.resource };
      left.set(labels, limit.remaining);
      limits.set(`${host} ${limit.resource}`, { labels, until: limit.until });
    },
    'undici:request:error': (message) => sent.inc({ host: hostOf(message), status: 'none' }),
  };
  const channels = Object.entries(listeners) as [string, ChannelListener][];
  for (const [channel, listener] of channels) subscribe(channel, listener);
  return () => {
    for (const [channel, listener] of channels) unsubscribe(channel, listener);
  };
}

interface Limit {
  readonly remaining: number;
  readonly resource: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/**
 * GitHub's `x-ratelimit-remaining: 4999` with `x-ratelimit-reset: 1767323045` (seconds since 1970), Docker Hub's `ratelimit-remaining:
 * 98;w=21600` (the seconds of its window), GitLab's `ratelimit-reset`.
 * @see https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
 * @see https://docs.docker.com/docker-hub/usage/pulls/
 */
function limitIn(headers: readonly (Buffer | string)[], now: number): Limit | undefined {
  let [remaining, resource, reset] = ['', 'all', ''];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = String(headers[index]).toLowerCase();
    const value = String(headers[index + 1]);
    if (name === 'x-ratelimit-remaining' || name === 'ratelimit-remaining') remaining = value;
    if (name === 'x-ratelimit-reset' || name === 'ratelimit-reset') reset = value;
    if (name === 'x-ratelimit-resource') resource = value;
  }
  const count = /^\d{1,9}(?=;|$)/.exec(remaining)?.[0];
  if (count === undefined) return undefined;
  const window = /;\s*w=(\d{1,9})(?=;|$)/.exec(remaining)?.[1];
  const until = /^\d{10}$/.test(reset)
    ? Number(reset) * 1_000
    : now + (window === undefined ? usualWindowMs : Number(window) * 1_000);
  // The name is the other side's word.
  return { remaining: Number(count), resource: /^[a-z_]{1,30}$/.exec(resource)?.[0] ?? 'all', until };
}
