import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { masked } from '../domain/inert-text.ts';
import type { Log } from '../domain/log.ts';

/** Undici's own request object, as far as it is documented: https://github.com/nodejs/undici/blob/main/docs/docs/api/DiagnosticsChannel.md */
interface Outgoing {
  readonly method: string;
  readonly origin: string | URL;
  readonly path: string;
}

/**
 * Logs, at level debug, every request that this process sends by `fetch` (to registries, GitHub, Slack, Discord, Landfall's own tools)
 * and what is answered. No headers, no bodies, no query, and nothing of a path that looks like a token.
 * @returns stops it
 */
export function logOutgoing(log: Pick<Log, 'debug'>): () => void {
  const begun = new WeakMap<object, { readonly number: number; readonly at: number }>();
  let count = 0;
  const about = (request: Outgoing) => {
    const { number, at } = begun.get(request) ?? { number: 0, at: performance.now() };
    const { method, origin, path } = request;
    return { request: number, method, url: shownUrl(String(origin), path), duration_ms: Math.round(performance.now() - at) };
  };
  const listeners: Readonly<Record<string, (message: unknown) => void>> = {
    'undici:request:create': (message) => {
      const { request } = message as { request: Outgoing };
      count += 1;
      begun.set(request, { number: count, at: performance.now() });
      const { duration_ms, ...asked } = about(request);
      log.debug(asked, 'a request goes out');
    },
    'undici:request:headers': (message) => {
      const { request, response } = message as { request: Outgoing; response: { readonly statusCode: number } };
      log.debug({ ...about(request), status: response.statusCode }, 'its answer comes in');
    },
    'undici:request:error': (message) => {
      const { request, error } = message as { request: Outgoing; error: Error & { readonly code?: string } };
      log.debug({ ...about(request), reason: error.code ?? error.name }, 'a request got no answer');
    },
  };
  for (const [channel, listener] of Object.entries(listeners)) subscribe(channel, listener);
  return () => {
    for (const [channel, listener] of Object.entries(listeners)) unsubscribe(channel, listener);
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
