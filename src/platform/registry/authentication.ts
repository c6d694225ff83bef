import { z } from 'zod';
import { Refusal } from '../../domain/failures.ts';
import { readBody } from '../http/client.ts';
import { parseChallenges } from '../http/headers.ts';
import { basicAuthorization, type CredentialsSource, identityTokenUser, type RegistryCredentials } from './credentials.ts';
import { errorText, type HttpSettings, parseJson, type RegistryRequest, send, unexpectedAnswer } from './http.ts';
import { isPage } from './odd-answer.ts';

/** Where a request goes: the registry's host as users write it, and the repository's path there. */
export interface AuthenticationTarget {
  /** `ghcr.io`, `docker.io` */
  readonly host: string;
  /** `team/app` */
  readonly path: string;
}

export interface Authentication {
  /** Value of the Authorization header that worked before and should still work, if any. */
  remembered(target: AuthenticationTarget): Promise<string | undefined>;
  /**
   * A new value, as the registry's 401 asks for.
   * @param challenges the `WWW-Authenticate` header
   * @param refused the value that the registry has just refused, if there was one
   * @throws Refusal `CredentialsRefused`
   */
  answer(target: AuthenticationTarget, challenges: string, refused: string | undefined): Promise<string>;
  /** The error for a registry that still says no. `said` is how it put that. What was remembered is forgotten: access may be given soon. */
  refused(target: AuthenticationTarget, said: string): Promise<Refusal>;
}

interface Authorization {
  readonly value: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scope: string;
}

const tokenLimit = 1024 * 1024;
/** What a token server that says nothing means (distribution's token specification). */
const defaultTokenSeconds = 60;
/** A token is not used in its last seconds: the request has to arrive, and clocks differ. */
const tokenMarginMs = 10_000;
/** Credentials are read again after a while, so that a rotated password is picked up. */
const basicLifetimeMs = 300_000;
/** When this many repositories are remembered, all are forgotten: a token more costs less than a list without an end. */
const mostRemembered = 1_000;

const tokenAnswer = z.object({
  token: z.string().min(1).optional(),
  access_token: z.string().min(1).optional(),
  expires_in: z.number().positive().optional(),
});

/** Anonymous, Basic, and the token flow of https://distribution.github.io/distribution/spec/auth/token/. */
export function createAuthentication(credentials: CredentialsSource, settings: HttpSettings): Authentication {
  // Promises are kept, not their values: requests that run side by side ask for one token.
  const authorizations = new Map<string, Promise<Authorization>>();

  async function remembered(target: AuthenticationTarget): Promise<string | undefined> {
    // Do not cache a failure: the next request asks again.
    const known = await authorizations.get(keyOf(target))?.catch(() => undefined);
    return known !== undefined && known.expiresAt > settings.now() ? known.value : undefined;
  }

  return {
    remembered,
    async answer(target, challenges, refused) {
      const known = await remembered(target);
      if (known !== undefined && known !== refused) return known;
      if (authorizations.size >= mostRemembered) authorizations.clear();
      const pending = authorize(target, challenges, credentials, settings);
      authorizations.set(keyOf(target), pending);
      return (await pending).value;
    },
    async refused(target, said) {
      authorizations.delete(keyOf(target));
      return credentialsRefused(target, await credentials(target.host), said);
    },
  };
}

function keyOf({ host, path }: AuthenticationTarget): string {
  return `${host}/${path}`;
}

async function authorize(
  target: AuthenticationTarget,
  header: string,
  credentials: CredentialsSource,
  settings: HttpSettings,
): Promise<Authorization> {
  const challenges = parseChallenges(header);
  const known = await credentials(target.host);
  const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
  if (bearer !== undefined) return fetchToken(target, tokenRequest(target, bearer.parameters, settings), known, settings);
  if (!challenges.some(({ scheme }) => scheme === 'basic')) {
    throw new Refusal(
      'CredentialsRefused',
      `${target.host} asks for authentication of a kind that Landfall does not know; ` +
        `expected Bearer or Basic in WWW-Authenticate, found '${header.slice(0, 100)}'`,
    );
  }
  if (known === undefined || known.username === identityTokenUser) throw credentialsRefused(target, known, '401');
  return { value: basicAuthorization(known), expiresAt: settings.now() + basicLifetimeMs };
}

/** Checks where the token is to come from: credentials go there, so it is not just any address. */
function tokenRequest(
  target: AuthenticationTarget,
  parameters: Readonly<Record<string, string>>,
  { plainHttp }: HttpSettings,
): TokenRequest {
  const text = parameters.realm ?? '';
  const realm = URL.canParse(text) ? new URL(text) : undefined;
  const isPlainAllowed = (url: URL) =>
    url.protocol === 'http:' &&
    plainHttp(target.host) &&
    (plainHttp(url.host) || url.hostname === new URL(`http://${target.host}`).hostname);
  if (realm === undefined || (realm.protocol !== 'https:' && !isPlainAllowed(realm))) {
    throw new Refusal(
      'CredentialsRefused',
      `${target.host} wants credentials to be sent to '${text.slice(0, 200)}', expected an https address; nothing was sent. ` +
        'Give the registry a token server with https, or set plainHttp for both of them under registries',
    );
  }
  return { realm, service: parameters.service, scope: parameters.scope ?? `repository:${target.path}:pull` };
}

async function fetchToken(
  target: AuthenticationTarget,
  request: TokenRequest,
  known: RegistryCredentials | undefined,
  settings: HttpSettings,
): Promise<Authorization> {
  const what = `the token server ${request.realm.host} of ${target.host}`;
  let answer = await send(tokenHttpRequest(request, known), settings);
  if (answer.status === 400 && request.service === undefined) {
    // A challenge may leave the service out, and yet the server insists on one.
    await answer.body?.cancel();
    answer = await send(tokenHttpRequest({ ...request, service: target.host }, known), settings);
  }
  if (answer.status === 401 || (answer.status === 403 && !isPage(answer))) {
    throw credentialsRefused(target, known, `${answer.status} from ${request.realm.host}: ${await errorText(answer, settings)}`);
  }
  if (answer.status !== 200) throw await unexpectedAnswer(what, answer, settings);
  const body = await readBody(answer, tokenLimit, what, settings.timeoutMs);
  const parsed = tokenAnswer.safeParse(parseJson(body.toString(), what));
  const token = parsed.data?.token ?? parsed.data?.access_token;
  if (token === undefined) throw new Error(`${what} gave no token; expected a JSON object with 'token' or 'access_token'`);
  const lifetimeMs = (parsed.data?.expires_in ?? defaultTokenSeconds) * 1_000;
  return { value: `Bearer ${token}`, expiresAt: settings.now() + lifetimeMs - Math.min(tokenMarginMs, lifetimeMs / 2) };
}

/** An identity token is posted, as OAuth 2 has it; a password goes as Basic; without either we ask as anybody. */
function tokenHttpRequest({ realm, service, scope }: TokenRequest, known: RegistryCredentials | undefined): RegistryRequest {
  const parameters = new URLSearchParams({ scope, ...(service !== undefined && { service }) });
  if (known?.username === identityTokenUser) {
    parameters.set('grant_type', 'refresh_token');
    parameters.set('client_id', 'landfall');
    parameters.set('refresh_token', known.password);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { method: 'POST', url: realm, headers, body: parameters.toString() };
  }
  const url = new URL(realm);
  for (const [name, value] of parameters) url.searchParams.append(name, value);
  return { method: 'GET', url, headers: known === undefined ? {} : { authorization: basicAuthorization(known) } };
}

/** The registry does not let us in: says with what we came, and what to configure. */
function credentialsRefused(target: AuthenticationTarget, known: RegistryCredentials | undefined, said: string): Refusal {
  const { host, path } = target;
  const came =
    known === undefined
      ? `no credentials for it are configured, and it does not show the repository to everybody (or has none of that name)`
      : `the credentials are wrong, expired, or not allowed to pull from the repository`;
  const user = known === undefined || known.username === identityTokenUser ? '' : ` as '${known.username}'`;
  return new Refusal(
    'CredentialsRefused',
    `${host} refuses access to ${path}${user} (${said}): ${came}. ` +
      `Set username and password of an account that may pull under registries: ${host} in landfall.yaml, or run docker login ${host}`,
  );
}
