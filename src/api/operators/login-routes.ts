import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import type { Configuration } from '../../config/configuration.ts';
import type { Log } from '../../domain/log.ts';
import { parseJson, readBody, requireMediaType } from '../../http/body.ts';
import { type CodeLogin, refusedLogin } from '../../http/oidc/code-login.ts';
import { requireOwnOrigin } from '../../http/origin.ts';
import { malformed, Problem } from '../../http/problem.ts';
import { type AskerDependencies, fingerprintOf, operatorOf, rolesOf } from './asker.ts';
import type { Sessions } from './sessions.ts';

/** Where the provider sends people back to, beneath `login.url`. */
export const codeLoginPath = '/login/oidc/callback';

export interface LoginDependencies extends Pick<AskerDependencies, 'configuration' | 'secrets' | 'log'> {
  readonly sessions: Sessions;
  /** Undefined: nobody logs in at a provider. */
  readonly codeLogin: () => CodeLogin | undefined;
  /** The path below which a proxy shows the page. */
  readonly baseOf: (request: IncomingMessage) => string;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

const form = 'application/x-www-form-urlencoded';
const limits = { bytes: 16 * 1024, timeoutMs: 5_000 };
const credentialsShape = z.object({ token: z.string(), return: z.string().optional() });
const codeState = z.object({ state: z.string(), nonce: z.string(), verifier: z.string(), back: z.string() });

/** `POST /login` with a token, as a form or as JSON; `GET /login/oidc`; `POST /logout`. The page at `GET /login` is another's. */
export function addLoginRoutes(router: Router, dependencies: LoginDependencies): void {
  const { configuration, sessions, log, baseOf } = dependencies;
  const ownPage = (context: Context) => requireOwnOrigin(context.req, configuration().login.url, false);
  const codeLogin = (): CodeLogin => {
    const known = dependencies.codeLogin();
    if (known === undefined) throw new Problem(404, 'not-found', 'Nobody logs in at a provider here: login.oidc names one.');
    return known;
  };
  router.post('/login', async (context) => {
    ownPage(context);
    const { token, return: back, isForm } = await readCredentials(context);
    const found = await operatorOf(dependencies, token.trim());
    if (found === undefined) {
      log.warn({ address: context.req.socket.remoteAddress }, 'a login was refused: the token is nobody’s');
      if (isForm) return redirect(context, `${baseOf(context.req)}/login?failed=token`);
      throw refusedLogin('The token is nobody’s here. landfall token makes one, and its hash goes to the configuration.');
    }
    const { operator, tokenHash } = found;
    await sessions.begin(context.res, { way: 'token', name: operator.name, token: fingerprintOf(tokenHash) });
    log.info({ operator: operator.name, way: 'token' }, 'somebody has logged in');
    if (isForm) return redirect(context, baseOf(context.req) + ownPath(back));
    context.status = 204;
  });
  router.post('/logout', (context) => {
    ownPage(context);
    sessions.end(context.res);
    if (context.is(form)) return redirect(context, `${baseOf(context.req)}/`);
    context.status = 204;
  });
  router.get('/login/oidc', async (context) => {
    const { url, state } = await codeLogin().begin();
    await sessions.rememberCode(context.res, { ...state, back: ownPath(context.URL.searchParams.get('return')) });
    context.redirect(url);
  });
  router.get(codeLoginPath, async (context) => {
    const state = codeState.safeParse(await sessions.takeCode(context.req, context.res)).data;
    if (state === undefined)
      throw refusedLogin('The login took too long, or was begun in another browser. Begin again at /login.');
    const { name, issuer, groups } = await codeLogin().finish(context.URL.search, state);
    const { login } = configuration();
    if (rolesOf(groups, login).length === 0) {
      log.warn({ name, way: 'oidc' }, 'a login was refused: no group of theirs has a role');
      throw new Problem(403, 'forbidden', 'You have logged in, and none of your groups may do anything here (login.oidc.roles).');
    }
    const counting = groups.filter((group) => matters(group, login));
    await sessions.begin(context.res, { way: 'oidc', name, issuer, groups: counting });
    log.info({ operator: name, way: 'oidc' }, 'somebody has logged in');
    leadOn(context, baseOf(context.req) + state.back);
  });
}

async function readCredentials(context: Context) {
  requireMediaType(context.headers, {
    mediaTypes: ['application/json', form],
    mediaTypeAdvice: 'Send {"token": "…"}, or a form.',
  });
  const isForm = Boolean(context.is(form));
  const body = await readBody(context.req, context.res, limits);
  const said = isForm ? Object.fromEntries(new URLSearchParams(body.toString())) : parseJson(body);
  const credentials = credentialsShape.safeParse(said).data;
  if (credentials === undefined) throw malformed('Expected a token: {"token": "…"}, or a form with a field of that name.');
  return { ...credentials, isForm };
}

/** A path of our own, whatever somebody put into a link. */
function ownPath(text: string | null | undefined): string {
  return typeof text === 'string' && /^\/(?![/\\])[^\\\s]*$/.test(text) ? text : '/';
}

/** Of hundreds of groups, a cookie has room for those that count here. */
function matters(group: string, { oidc }: Configuration['login']): boolean {
  return Object.values(oidc?.roles ?? {}).some((groups) => groups.includes(group));
}

function redirect(context: Context, path: string): void {
  context.status = 303;
  context.set('Location', path);
  context.body = '';
}

/** A redirect would still be the provider's doing, and the browser would not send a strict cookie along; from a page of ours it does. */
function leadOn(context: Context, path: string): void {
  const escaped = path.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  context.type = 'text/html; charset=utf-8';
  context.body =
    `<!doctype html><html lang="en"><title>Landfall</title><meta http-equiv="refresh" content="0;url=${escaped}">` +
    `<p><a href="${escaped}">Go on to Landfall</a></p></html>`;
}
