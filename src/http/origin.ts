import type { IncomingMessage } from 'node:http';
import { Problem } from './problem.ts';

/** Where a browser has our pages, and whether it was one of them that sent a request. */

const prefixPattern = /^(?:\/[A-Za-z0-9._~-]+)+$/;

/** The path below which a proxy shows our pages, where it is one of ours that says so. */
export function baseOf(request: IncomingMessage, isProxy: (address: string) => boolean): string {
  const [said, ...others] = request.headersDistinct['x-forwarded-prefix'] ?? [];
  if (said === undefined || others.length > 0 || !isProxy(request.socket.remoteAddress ?? '')) return '';
  const base = said.replace(/\/+$/, '');
  return prefixPattern.test(base) && !base.split('/').some((part) => part === '..' || part === '.') ? base : '';
}

const harmless = ['GET', 'HEAD', 'OPTIONS'];

/**
 * Another site's page can have somebody's browser send what changes something here, and their cookie with it. A browser says where a request
 * comes from, and no page can make it say something else: lets only our own pages change something, and what is no browser.
 * @param url as browsers have the listener, where that is configured
 * @param fromBrowser what came with a cookie, or from a form: without a word of the browser about its page it is not taken
 * @throws Problem 403
 */
export function requireOwnOrigin(
  { method = '', headersDistinct }: IncomingMessage,
  url: string | undefined,
  fromBrowser: boolean,
): void {
  if (harmless.includes(method)) return;
  const { origin, host, 'sec-fetch-site': site } = headersDistinct;
  // Browsers say it of every request to https or to this machine, also where a proxy changes Host.
  if (site !== undefined) {
    const said = site.join();
    if (said === 'same-origin' || (said === 'none' && !fromBrowser)) return;
    throw foreign();
  }
  if (origin === undefined && !fromBrowser) return;
  const own = [host?.[0]?.toLowerCase(), url === undefined ? undefined : new URL(url).host];
  const from = origin?.length === 1 ? URL.parse(origin[0] ?? '')?.host : undefined;
  if (from === undefined || !own.includes(from)) throw foreign();
}

function foreign(): Problem {
  const detail =
    'Expected a request of a page of Landfall, found one of another site. Open the page of Landfall and do it there; if it is that page, ' +
    'a proxy changes Host: set login.url to where browsers have it.';
  return new Problem(403, 'foreign-origin', detail);
}
