import { type ChannelListener, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { masked } from '../domain/inert-text.ts';
import type { Log } from '../domain/log.ts';
import { longestShown, shownBody } from './shown-body.ts';

/** What undici's channels tell; `response`, `chunk` and `error` each on channels of their own. */
interface OutgoingMessage {
  /** Undici's own object, as far as it is documented: https://github.com/nodejs/undici/blob/main/docs/docs/api/DiagnosticsChannel.md */
  readonly request: { readonly method: string; readonly origin: string | URL; readonly path: string };
  readonly response: { readonly statusCode: number };
  readonly chunk: Uint8Array | string;
  readonly error: Error & { readonly code?: string };
}

/**
 * Logs, at level debug, every request that this process sends by `fetch` (to registries, GitHub, Slack, Discord, Landfall's own tools)
 * and what is answered. No headers, no query, nothing of a path that looks like a token, and of bodies what `shownBody` shows.
 * @returns stops it
 */
export function logOutgoing(log: Pick<Log, 'debug'>): () => void {
  const begun = new WeakMap<object, { readonly number: number; readonly at: number }>();
  const [sent, received] = [collectBodies(), collectBodies()];
  let count = 0;
  const about = (request: OutgoingMessage['request']) => {
    const { number, at } = begun.get(request) ?? { number: 0, at: performance.now() };
    const { method, origin, path } = request;
    return { request: number, method, url: shownUrl(String(origin), path), duration_ms: Math.round(performance.now() - at) };
  };
  const listeners: Readonly<Record<string, (message: OutgoingMessage) => void>> = {
    'undici:request:create': ({ request }) => {
      count += 1;
      begun.set(request, { number: count, at: performance.now() });
      const { duration_ms, ...asked } = about(request);
      log.debug(asked, 'a request goes out');
    },
    'undici:request:bodyChunkSent': ({ request, chunk }) => sent.add(request, chunk),
    'undici:request:headers': ({ request, response }) =>
      log.debug({ ...about(request), body: sent.of(request), status: response.statusCode }, 'its answer comes in'),
    'undici:request:bodyChunkReceived': ({ request, chunk }) => received.add(request, chunk),
    'undici:request:trailers': ({ request }) => {
      const answer = received.of(request);
      if (answer !== undefined) log.debug({ ...about(request), answer }, 'its answer says');
    },
    'undici:request:error': ({ request, error }) =>
      log.debug({ ...about(request), reason: error.code ?? error.name }, 'a request got no answer'),
  };
  const channels = Object.entries(listeners) as [string, ChannelListener][];
  for (const [channel, listener] of channels) subscribe(channel, listener);
  return () => {
    for (const [channel, listener] of channels) unsubscribe(channel, listener);
  };
}

/** The beginnings of bodies, by the request that they belong to. */
function collectBodies() {
  const bodies = new WeakMap<object, Buffer>();
  return {
    add(request: object, chunk: Uint8Array | string): void {
      const before = bodies.get(request) ?? Buffer.alloc(0);
      // One byte more, so that it is known to be longer.
      if (before.length <= longestShown)
        bodies.set(request, Buffer.concat([before, Buffer.from(chunk)]).subarray(0, longestShown + 1));
    },
    of: (request: object) => shownBody(bodies.get(request) ?? Buffer.alloc(0)),
  };
}

const longestPath = 500;

function shownUrl(origin: string, path: string): string {
  const [withoutQuery = '', query] = path.split('?', 2);
  const segments = withoutQuery
    .slice(0, longestPath)
    .split('/')
    .map((segment) => (isLikeToken(segment) ? masked : segment));
  return `${origin}${segments.join('/')}${query === undefined ? '' : '?…'}`;
}

/** The URLs of webhooks end in their secret: letters of both cases, and digits, at length. Digests and commits are neither. */
function isLikeToken(segment: string): boolean {
  return segment.length >= 20 && /[A-Z]/.test(segment) && /[a-z]/.test(segment) && /\d/.test(segment);
}
