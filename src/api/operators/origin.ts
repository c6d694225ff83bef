import type { IncomingMessage } from 'node:http';
import { Problem } from '../../http/problem.ts';

/** Another site's page can have somebody's browser send what changes something here, and their cookie with it. */

const harmless = ['GET', 'HEAD', 'OPTIONS'];

/**
 * Lets only what our own pages send, or no page at all, change something.
 * @param url as browsers have the listener, where that is configured
 * @param byCookie without a word of the browser about its page, a cookie alone is not taken
 * @throws Problem 403
 */
export function requireOwnOrigin(request: IncomingMessage, url: string | undefined, byCookie: boolean): void {
  if (harmless.includes(request.method ?? '')) return;
  const { origin, host, 'sec-fetch-site': site } = request.headers;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw foreign();
  if (origin === undefined) {
    if (byCookie && site === undefined) throw foreign();
    return;
  }
  const own = [host?.toLowerCase(), url === undefined ? undefined : new URL(url).host];
  const from = URL.parse(origin)?.host;
  if (from === undefined || !own.includes(from)) throw foreign();
}

function foreign(): Problem {
  const detail =
    'Expected a request of a page of Landfall, found one of another site. Open the page of Landfall and do it there.';
  return new Problem(403, 'foreign-origin', detail);
}
