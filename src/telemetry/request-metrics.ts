import { type ChannelListener, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, Gauge, type Registry } from 'prom-client';
import { limitReset } from '../platform/http/headers.ts';
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
  const limits = new Map<string, Limit & { readonly host: string }>();
  new Gauge({
    name: 'landfall_rate_limit_remaining',
    help: 'Requests that a host still allows until its limit begins anew, as it said last, by resource.',
    ...{ labelNames: ['host', 'resource'], registers },
    collect() {
      this.reset();
      for (const [key, { host, resource, remaining, until }] of limits)
        if (until > Date.now()) this.set({ host, resource }, remaining);
        else limits.delete(key);
    },
  });
  const hostOf = ({ request }: SentRequest): string => named(URL.parse(String(request.origin))?.host ?? '');
  const listeners: Readonly<Record<string, (message: SentRequest) => void>> = {
    'undici:request:headers': (message) => {
      const host = hostOf(message);
      const { statusCode, headers } = message.response;
      sent.inc({ host, status: `${Math.floor(statusCode / 100)}xx` });
      const limit = limitIn(headers, Date.now());
      if (limit !== undefined) limits.set(`${host} ${limit.resource}`, { host, ...limit });
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
 * GitHub's `x-ratelimit-remaining: 4999`, Docker Hub's `ratelimit-remaining: 98;w=21600`, which has the seconds of its window.
 * @see https://docs.docker.com/docker-hub/usage/pulls/
 */
function limitIn(headers: readonly (Buffer | string)[], now: number): Limit | undefined {
  const named = new Map<string, string>();
  for (let index = 0; index + 1 < headers.length; index += 2)
    named.set(String(headers[index]).toLowerCase(), String(headers[index + 1]));
  const remaining = named.get('x-ratelimit-remaining') ?? named.get('ratelimit-remaining') ?? '';
  const count = /^\d{1,9}(?=;|$)/.exec(remaining)?.[0];
  if (count === undefined) return undefined;
  const window = /;\s*w=(\d{1,9})(?=;|$)/.exec(remaining)?.[1];
  const windowMs = window === undefined ? usualWindowMs : Number(window) * 1_000;
  return {
    remaining: Number(count),
    // The name is the other side's word.
    resource: /^[a-z_]{1,30}$/.exec(named.get('x-ratelimit-resource') ?? '')?.[0] ?? 'all',
    until: limitReset(named, now) ?? now + windowMs,
  };
}
