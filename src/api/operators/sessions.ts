import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import type { Configuration } from '../../config/configuration.ts';
import { cookieIn, openCookie, sealCookie } from './sealed-cookie.ts';

/** Who has logged in. The browser keeps it, sealed; nothing is kept here, so any process of the same key takes it. */
export type LoginSession = z.output<typeof sessionShape>;

const sessionShape = z.discriminatedUnion('way', [
  z.object({ way: z.literal('token'), name: z.string(), token: z.string() }),
  z.object({ way: z.literal('oidc'), name: z.string(), issuer: z.string(), groups: z.array(z.string()).readonly() }),
]);

const cookieShape = z.object({ session: sessionShape, begun: z.int(), until: z.int() });

export type Sessions = ReturnType<typeof createSessions>;

export interface SessionDependencies {
  /** As it is now: it may be read again. */
  readonly login: () => Configuration['login'];
  /** 32 bytes. */
  readonly cookieKey: () => Promise<Buffer>;
  readonly now?: () => number;
}

const [loginCookie, codeCookie] = ['landfall', 'landfall-login'];
/** A login at a provider goes on for minutes, with what the person has to confirm there. */
const codeLoginMs = 10 * 60_000;

export function createSessions({ login, cookieKey, now = Date.now }: SessionDependencies) {
  const isHttps = (): boolean => login().url?.startsWith('https://') ?? false;
  // Browsers take a name that begins so from this very host alone, over TLS, and for all paths.
  const named = (name: string): string => (isHttps() ? `__Host-${name}` : name);
  const lasts = ({ way }: LoginSession): number => {
    const { oidc, session } = login();
    return way === 'oidc' && oidc ? oidc.session : session;
  };
  const set = (response: ServerResponse, name: string, value: string, ms: number, sameSite: 'Strict' | 'Lax'): void => {
    const attributes = `Path=/; HttpOnly${isHttps() ? '; Secure' : ''}; SameSite=${sameSite}; Max-Age=${Math.round(ms / 1000)}`;
    response.appendHeader('Set-Cookie', `${name}=${value}; ${attributes}`);
  };
  const opened = async (request: IncomingMessage) => {
    const name = named(loginCookie);
    const text = cookieIn(request.headers.cookie, name);
    if (text === undefined) return undefined;
    const cookie = cookieShape.safeParse(openCookie(await cookieKey(), name, text)).data;
    const isOver = cookie === undefined || cookie.until <= now() || cookie.begun < (login().notBefore?.getTime() ?? 0);
    return isOver ? undefined : cookie;
  };
  const begin = async (response: ServerResponse, session: LoginSession, begun = now()): Promise<void> => {
    const name = named(loginCookie);
    const ms = lasts(session);
    const cookie = { session, begun, until: now() + ms };
    set(response, name, sealCookie(await cookieKey(), name, cookie), ms, 'Strict');
  };
  return {
    async read(request: IncomingMessage): Promise<LoginSession | undefined> {
      return (await opened(request))?.session;
    },
    begin: (response: ServerResponse, session: LoginSession) => begin(response, session),
    /** Of a token, which is looked at each time, the login goes on while it is used; of a provider it has to be asked for again. */
    async keep(request: IncomingMessage, response: ServerResponse): Promise<void> {
      const cookie = await opened(request);
      if (cookie?.session.way !== 'token' || cookie.until - now() > lasts(cookie.session) / 2) return;
      await begin(response, cookie.session, cookie.begun);
    },
    end(response: ServerResponse): void {
      set(response, named(loginCookie), '', 0, 'Strict');
    },
    /** What a login at a provider began with. It has to be sent along when that provider's page leads back here. */
    async rememberCode(response: ServerResponse, state: unknown): Promise<void> {
      const codeName = named(codeCookie);
      const value = sealCookie(await cookieKey(), codeName, { state, until: now() + codeLoginMs });
      set(response, codeName, value, codeLoginMs, 'Lax');
    },
    async takeCode(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
      const codeName = named(codeCookie);
      const text = cookieIn(request.headers.cookie, codeName);
      if (text === undefined) return undefined;
      set(response, codeName, '', 0, 'Lax');
      const cookie = codeShape.safeParse(openCookie(await cookieKey(), codeName, text)).data;
      return cookie === undefined || cookie.until <= now() ? undefined : cookie.state;
    },
  };
}

const codeShape = z.object({ state: z.unknown(), until: z.int() });
