import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { readBody, requireMediaType } from '../http/body.ts';
import { Problem } from '../http/problem.ts';
import { type Theme, themes } from './view.ts';

/** What a request says besides its path. */

const prefixPattern = /^(?:\/[A-Za-z0-9._~-]+)+$/;

/** The path below which a proxy shows the page, where it is one of ours that says so. */
export function baseOf(request: IncomingMessage, isProxy: (address: string) => boolean): string {
  const [said, ...others] = request.headersDistinct['x-forwarded-prefix'] ?? [];
  if (said === undefined || others.length > 0 || !isProxy(request.socket.remoteAddress ?? '')) return '';
  const base = said.replace(/\/+$/, '');
  return prefixPattern.test(base) && !base.split('/').some((part) => part === '..' || part === '.') ? base : '';
}

const themeCookie = 'landfall-theme';
const doneCookie = 'landfall-done';

export function themeOf(context: Context): Theme {
  const said = context.cookies.get(themeCookie);
  return themes.find((theme) => theme === said) ?? 'auto';
}

export function keepTheme(context: Context, base: string, theme: Theme): void {
  context.cookies.set(themeCookie, theme, { path: `${base}/`, sameSite: 'lax', httpOnly: true, maxAge: 365 * 86_400_000 });
}

/** What was done just before, which the next page says once. */
export function keepDone(context: Context, base: string, what: string): void {
  context.cookies.set(doneCookie, what, { path: `${base}/`, sameSite: 'strict', httpOnly: true, maxAge: 15_000 });
}

export function takeDone(context: Context, base: string): string | undefined {
  const done = context.cookies.get(doneCookie);
  if (done !== undefined) context.cookies.set(doneCookie, null, { path: `${base}/` });
  return done;
}

export type FormFields = Readonly<Record<string, string>>;

const formLimits = { bytes: 16 * 1024, timeoutMs: 5_000 } as const;
const formType = 'application/x-www-form-urlencoded';

/** The fields of a form; one that was left empty is absent. */
export async function readForm({ req, res }: Context): Promise<FormFields> {
  requireMediaType(req.headers, { mediaTypes: [formType], mediaTypeAdvice: 'Use the buttons of the page.' });
  const body = await readBody(req, res, formLimits);
  const fields = [...new URLSearchParams(body.toString('utf8'))];
  return Object.fromEntries(fields.filter(([, value]) => value.trim() !== ''));
}

/**
 * What changes something comes from a page of ours. A browser says where a form comes from, and no page can make it say something else.
 * @throws Problem 403
 */
export function requireOwnPage({ headersDistinct }: IncomingMessage): void {
  const { 'sec-fetch-site': site, origin, host = [] } = headersDistinct;
  const isOwn =
    site === undefined
      ? origin?.length === 1 && hostOfOrigin(origin[0]) === host[0]?.toLowerCase()
      : site.join() === 'same-origin';
  if (isOwn) return;
  const advice =
    'This was sent from the page of another site, or by no browser. Use the buttons of the page, or the command landfall.';
  throw new Problem(403, 'malformed', advice);
}

function hostOfOrigin(origin: string | undefined): string | undefined {
  return origin !== undefined && URL.canParse(origin) ? new URL(origin).host.toLowerCase() : undefined;
}

/** Where a form came from, to go back to: a path of ours, and nothing that a browser could take for another site. */
export function wayBack(from: string | undefined, otherwise: string): string {
  return from !== undefined && /^\/(?![/\\])[^\s\\]*$/.test(from) ? from : otherwise;
}
