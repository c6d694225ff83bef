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

/** Counts the requests of this process to registries, forges and whoever else, and what is left of rate limits. @returns stops it */
export function countRequests(registry: Registry): () => void {
  const named = boundedNames(mostHosts, '(others)');
  const registers = [registry];
  const sent = new Counter({
    name: 'landfall_requests_sent_total',
    help: 'Requests that were answered (by class: 2xx, 4xx, …) or not (none), by host.',
    ...{ labelNames: ['host', 'status'], registers },
  });
  const left = new Gauge({
    name: 'landfall_rate_limit_remaining',
    help: 'Requests that a host still allows, as it said last, by resource.',
    ...{ labelNames: ['host', 'resource'], registers },
  });
  const hostOf = ({ request }: SentRequest): string => named(URL.parse(String(request.origin))?.host ?? '');
  const listeners: Readonly<Record<string, (message: SentRequest) => void>> = {
    'undici:request:headers': (message) => {
      const host = hostOf(message);
      const { statusCode, headers } = message.response;
      sent.inc({ host, status: `${Math.floor(statusCode / 100)}xx` });
      const limit = limitIn(headers);
      if (limit !== undefined) left.set({ host, resource: limit.resource }, limit.remaining);
    },
    'undici:request:error': (message) => sent.inc({ host: hostOf(message), status: 'none' }),
  };
  const channels = Object.entries(listeners) as [string, ChannelListener][];
  for (const [channel, listener] of channels) subscribe(channel, listener);
  return () => {
    for (const [channel, listener] of channels) unsubscribe(channel, listener);
  };
}

/** GitHub's `x-ratelimit-remaining: 4999`, Docker Hub's `ratelimit-remaining: 98;w=21600`. */
function limitIn(headers: readonly (Buffer | string)[]): { readonly remaining: number; readonly resource: string } | undefined {
  let [remaining, resource] = ['', 'all'];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = String(headers[index]).toLowerCase();
    if (name === 'x-ratelimit-remaining' || name === 'ratelimit-remaining') remaining = String(headers[index + 1]);
    if (name === 'x-ratelimit-resource') resource = String(headers[index + 1]);
  }
  const count = /^\d{1,9}(?=;|$)/.exec(remaining)?.[0];
  // The name is the other side's word.
  return count === undefined ? undefined : { remaining: Number(count), resource: /^[a-z_]{1,30}$/.exec(resource)?.[0] ?? 'all' };
}
