import { z } from 'zod';
import { Refusal } from '../../domain/failures.ts';
import { pathOf, type Repository, registryOf } from '../../domain/image-reference.ts';
import { basicAuthorization } from '../http/client.ts';
import { type Challenge, parseChallenges } from '../http/headers.ts';
import { type CredentialsSource, identityTokenUser, type RegistryCredentials } from './credentials.ts';
import {
  errorText,
  type HttpSettings,
  isPage,
  mayBePlain,
  originOf,
  type RegistryMethod,
  type RegistryRequest,
  readJson,
  send,
  unexpectedAnswer,
} from './http.ts';
import { isSameSite } from './site.ts';

interface Authorization {
  /** Of the Authorization header. */
  readonly value: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
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

export type RequestContent = Pick<RegistryRequest, 'headers' | 'body' | 'timeoutMs'>;

/** Requests to registries, authenticated as they ask; for tokens see https://distribution.github.io/distribution/spec/auth/token/. */
export class Session {
  readonly #settings: HttpSettings;
  readonly #credentials: CredentialsSource;
  /** Promises are kept, not their values: requests that run side by side ask for one token. */
  readonly #authorizations = new Map<Repository, Promise<Authorization>>();

  constructor(credentials: CredentialsSource, settings: HttpSettings) {
    this.#credentials = credentials;
    this.#settings = settings;
  }

  /**
   * @param at what is below `/v2/NAME/`, with the query; or where the registry itself has said to send an upload
   * @param more headers, and what is sent
   * @returns any answer but 401 and 403; for HEAD these too, if they are not sure to be meant
   * @throws Refusal `CredentialsRefused`
   */
  async request(repository: Repository, method: RegistryMethod, at: string | URL, more: RequestContent): Promise<Response> {
    const host = registryOf(repository);
    const origin = originOf(host, this.#settings);
    const url = at instanceof URL ? at : new URL(`/v2/${pathOf(repository)}/${at}`, origin);
    const ask = (authorization: string | undefined) => {
      // Credentials of the registry are for it alone.
      const sent = { ...more.headers, ...(authorization !== undefined && url.origin === origin.origin && { authorization }) };
      return send({ ...more, registry: host, method, url, headers: sent }, this.#settings);
    };

    const remembered = await this.#remembered(repository);
    let answer = await ask(remembered);
    const challenges = answer.headers.get('www-authenticate');
    if (answer.status === 401 && challenges !== null) {
      await answer.body?.cancel();
      answer = await ask(await this.#anotherThan(remembered, repository, challenges));
    }
    if (method === 'HEAD') return answer;
    // A registry says how to come in, and says no in JSON; this is a proxy before it, or a login.
    const isOdd = (answer.status === 401 && challenges === null) || (answer.status === 403 && isPage(answer));
    if (isOdd) throw await unexpectedAnswer(`${method} ${url}`, answer, this.#settings);
    if (answer.status === 401 || answer.status === 403) {
      const said = `${answer.status} ${await errorText(answer, this.#settings)}`.trim();
      // Access may be given soon.
      this.#authorizations.delete(repository);
      throw credentialsRefused(repository, await this.#credentials(host), said);
    }
    return answer;
  }

  /** What worked before and should still work, if anything. */
  async #remembered(repository: Repository): Promise<string | undefined> {
    // A failure does not count: the next request asks again.
    const known = await this.#authorizations.get(repository)?.catch(() => undefined);
    return known !== undefined && known.expiresAt > this.#settings.now() ? known.value : undefined;
  }

  async #anotherThan(refused: string | undefined, repository: Repository, challenges: string): Promise<string> {
    const known = await this.#remembered(repository);
    if (known !== undefined && known !== refused) return known;
    if (this.#authorizations.size >= mostRemembered) this.#authorizations.clear();
    const pending = this.#authorize(repository, challenges);
    this.#authorizations.set(repository, pending);
    return (await pending).value;
  }

  /** @param header `WWW-Authenticate` @throws Refusal `CredentialsRefused` */
  async #authorize(repository: Repository, header: string): Promise<Authorization> {
    const host = registryOf(repository);
    const challenges = parseChallenges(header);
    const known = await this.#credentials(host);
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer !== undefined) return await this.#fetchToken(repository, bearer.parameters, known);
    if (!challenges.some(({ scheme }) => scheme === 'basic')) {
      throw new Refusal(
        'CredentialsRefused',
        `${host} asks for authentication of a kind that Landfall does not know; ` +
          `expected Bearer or Basic in WWW-Authenticate, found '${header.slice(0, 100)}'`,
      );
    }
    if (known === undefined || known.username === identityTokenUser) throw credentialsRefused(repository, known, '401');
    return { value: basicAuthorization(known), expiresAt: this.#settings.now() + basicLifetimeMs };
  }

  async #fetchToken(repository: Repository, asked: Challenge['parameters'], known?: RegistryCredentials): Promise<Authorization> {
    const settings = this.#settings;
    const host = registryOf(repository);
    const realm = realmOf(host, asked.realm ?? '', settings, known !== undefined);
    const scope = asked.scope ?? `repository:${pathOf(repository)}:pull`;
    const ask = (service?: string) =>
      send({ registry: host, ...tokenRequest(realm, { scope, ...(service !== undefined && { service }) }, known) }, settings);
    let answer = await ask(asked.service);
    if (answer.status === 400 && asked.service === undefined) {
      // A challenge may leave the service out, and yet the server insists on one.
      await answer.body?.cancel();
      answer = await ask(host);
    }
    if (answer.status === 401 || (answer.status === 403 && !isPage(answer))) {
      const said = `${answer.status} from ${realm.host}: ${await errorText(answer, settings)}`;
      throw credentialsRefused(repository, known, said);
    }
    const what = `the token server ${realm.host} of ${host}`;
    if (answer.status !== 200) throw await unexpectedAnswer(what, answer, settings);
    const parsed = tokenAnswer.safeParse(await readJson(answer, tokenLimit, what, settings));
    const token = parsed.data?.token ?? parsed.data?.access_token;
    if (token === undefined) throw new Error(`${what} gave no token; expected a JSON object with 'token' or 'access_token'`);
    const lifetimeMs = (parsed.data?.expires_in ?? defaultTokenSeconds) * 1_000;
    return { value: `Bearer ${token}`, expiresAt: settings.now() + lifetimeMs - Math.min(tokenMarginMs, lifetimeMs / 2) };
  }
}

/** Checks where the token is to come from: credentials go there, so it is not just any address. */
function realmOf(host: string, text: string, settings: HttpSettings, hasCredentials: boolean): URL {
  const realm = URL.canParse(text) ? new URL(text) : undefined;
  const isPlainAllowed = (url: URL) => settings.plainHttp(host) && mayBePlain(url, host, settings);
  if (realm === undefined || (realm.protocol !== 'https:' && !isPlainAllowed(realm))) {
    throw new Refusal(
      'CredentialsRefused',
      `${host} wants credentials to be sent to '${text.slice(0, 200)}', expected an https address; nothing was sent. ` +
        'Give the registry a token server with https, or set plainHttp for both of them under registries',
    );
  }
  const isOwn = isSameSite(realm.hostname, originOf(host, settings).hostname) || settings.belongs(realm.host, host);
  // Whoever comes without credentials has none to lose.
  if (isOwn || !hasCredentials) return realm;
  throw new Refusal(
    'CredentialsRefused',
    `${host} wants credentials to be sent to ${realm.host}, which is on another site; nothing was sent. ` +
      `If that is its token server, say so in landfall.yaml: registries: { ${host}: { hosts: [${realm.host}] } }`,
  );
}

/** An identity token is posted, as OAuth 2 has it; a password goes as Basic; without either we ask as anybody. */
function tokenRequest(
  realm: URL,
  asked: Readonly<Record<string, string>>,
  known?: RegistryCredentials,
): Omit<RegistryRequest, 'registry'> {
  if (known?.username === identityTokenUser) {
    const grant = { grant_type: 'refresh_token', client_id: 'landfall', refresh_token: known.password };
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { method: 'POST', url: realm, headers, body: new URLSearchParams({ ...asked, ...grant }).toString() };
  }
  const url = new URL(realm);
  for (const [name, value] of Object.entries(asked)) url.searchParams.append(name, value);
  return { method: 'GET', url, headers: known === undefined ? {} : { authorization: basicAuthorization(known) } };
}

/** The registry does not let us in: says with what we came, and what to configure. */
function credentialsRefused(repository: Repository, known: RegistryCredentials | undefined, said: string): Refusal {
  const host = registryOf(repository);
  const came =
    known === undefined
      ? `no credentials for it are configured, and it does not show the repository to everybody (or has none of that name)`
      : `the credentials are wrong, expired, or not allowed to pull from the repository`;
  const user = known === undefined || known.username === identityTokenUser ? '' : ` as '${known.username}'`;
  return new Refusal(
    'CredentialsRefused',
    `${host} refuses access to ${pathOf(repository)}${user} (${said}): ${came}. ` +
      `Set username and password of an account that may pull under registries: ${host} in landfall.yaml, or run docker login ${host}`,
  );
}
