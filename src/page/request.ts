import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { readBody, requireMediaType } from '../http/body.ts';
import { requireOwnOrigin } from '../http/origin.ts';
import type { PageDependencies } from './dependencies.ts';
import { type Theme, themes } from './view.ts';

/** What a request says besides its path. */

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

/** Forms come from browsers alone, which say from which page: see requireOwnOrigin. @throws Problem 403 */
export function requireOwnPage(request: IncomingMessage, { ownUrl }: Pick<PageDependencies, 'ownUrl'>): void {
  requireOwnOrigin(request, ownUrl(), true);
}

/** Where a form came from, to go back to: a path of ours, and nothing that a browser could take for another site. */
export function wayBack(from: string | undefined, otherwise: string): string {
  return from !== undefined && /^\/(?![/\\])[^\s\\]*$/.test(from) ? from : otherwise;
}
