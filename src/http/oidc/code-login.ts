import * as client from 'openid-client';
import { messageOf } from '../../domain/errors.ts';
import { isLoopbackHost } from '../../domain/plain-http.ts';
import { type HttpInit, httpFetch } from '../../platform/http/client.ts';
import { Problem, unavailable } from '../problem.ts';

/** What a person logs in with: OpenID Connect's code flow with PKCE. */
export interface CodeLoginSettings {
  readonly issuer: string;
  readonly clientId: string;
  /** Absent: a public client. */
  readonly clientSecret: () => string | undefined;
  readonly scopes: readonly string[];
  /** Names of the claims that have the person's name, and their groups. */
  readonly name: string;
  readonly groups: string;
  /** Where the provider sends people back to. */
  readonly redirectUrl: string;
  readonly log: { warn(fields: object, message: string): void };
  readonly now?: () => number;
}

/** What has to be remembered between the two halves of a login, by the browser, sealed. */
export interface CodeLoginState {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** Who has logged in, as the provider names them. */
export interface LoggedIn {
  readonly name: string;
  readonly groups: readonly string[];
  readonly issuer: string;
}

export type CodeLogin = ReturnType<typeof createCodeLogin>;

/** What the provider said of itself is asked for again after so long; while it does not answer, what it said before holds. */
const discoveredForMs = 60 * 60_000;
const timeoutSeconds = 10;

/** Nothing is asked before somebody logs in: Landfall starts, and goes on, while the provider is away. */
export function createCodeLogin(settings: CodeLoginSettings) {
  const { now = Date.now } = settings;
  let known:
    | { readonly configuration: client.Configuration; readonly at: number; readonly secret: string | undefined }
    | undefined;

  const discovered = async (): Promise<client.Configuration> => {
    const secret = settings.clientSecret();
    if (known !== undefined && known.secret === secret && now() - known.at < discoveredForMs) return known.configuration;
    try {
      known = { configuration: await discover(settings, secret), at: now(), secret };
    } catch (error) {
      settings.log.warn({ issuer: settings.issuer, reason: reasonOf(error) }, 'the OpenID provider does not say how to log in');
      if (known === undefined || known.secret !== secret) throw away(settings.issuer);
    }
    return known.configuration;
  };

  return {
    /** Where the person has to go. @throws Problem 503 where the provider has never answered */
    async begin(): Promise<{ readonly url: string; readonly state: CodeLoginState }> {
      const configuration = await discovered();
      const state = { state: client.randomState(), nonce: client.randomNonce(), verifier: client.randomPKCECodeVerifier() };
      const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri: settings.redirectUrl,
        scope: settings.scopes.join(' '),
        code_challenge: await client.calculatePKCECodeChallenge(state.verifier),
        code_challenge_method: 'S256',
        state: state.state,
        nonce: state.nonce,
      });
      return { url: url.href, state };
    },

    /** @param query with which the person came back @throws Problem 401 where the provider says no, 503 where it does not answer */
    async finish(query: string, { state, nonce, verifier }: CodeLoginState): Promise<LoggedIn> {
      const configuration = await discovered();
      const current = new URL(settings.redirectUrl);
      current.search = query;
      try {
        const tokens = await client.authorizationCodeGrant(configuration, current, {
          ...{ expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true },
        });
        return await personIn(configuration, tokens, settings);
      } catch (error) {
        if (error instanceof Problem) throw error;
        settings.log.warn({ issuer: settings.issuer, reason: reasonOf(error) }, 'a login at the OpenID provider failed');
        throw isAway(error) ? away(settings.issuer) : refusedLogin('The OpenID provider did not confirm the login. Begin again.');
      }
    },
  };
}

async function discover({ issuer, clientId }: CodeLoginSettings, secret: string | undefined): Promise<client.Configuration> {
  const url = new URL(issuer);
  const isLocal = url.protocol === 'http:' && isLoopbackHost(url.hostname);
  const configuration = await client.discovery(
    url,
    clientId,
    {},
    secret === undefined ? client.None() : client.ClientSecretPost(secret),
    {
      [client.customFetch]: fetchOurs,
      timeout: timeoutSeconds,
      // Only config can let this be: a provider on this very machine.
      ...(isLocal && { execute: [client.allowInsecureRequests] }),
    },
  );
  configuration[client.customFetch] = fetchOurs;
  return configuration;
}

const fetchOurs: client.CustomFetch = (url, { method, headers, body, redirect, signal }) => {
  const init: HttpInit = {
    method,
    headers,
    redirect,
    ...(signal !== undefined && { signal }),
    ...(body !== undefined && body !== null && { body: body instanceof URLSearchParams ? body.toString() : String(body) }),
  };
  return httpFetch(url, init);
};

type Tokens = Awaited<ReturnType<typeof client.authorizationCodeGrant>>;

/** Many providers have groups in the answer about the user alone. */
async function personIn(configuration: client.Configuration, tokens: Tokens, settings: CodeLoginSettings): Promise<LoggedIn> {
  const claims = tokens.claims();
  if (claims === undefined) throw refusedLogin('The OpenID provider has given no ID token. Ask for the scope openid.');
  const { name, groups, issuer } = settings;
  const isWhole = name in claims && groups in claims;
  const asks = !isWhole && configuration.serverMetadata().userinfo_endpoint !== undefined;
  const more = asks ? await client.fetchUserInfo(configuration, tokens.access_token, claims.sub) : {};
  const said: Readonly<Record<string, unknown>> = { ...more, ...claims };
  const named = said[name];
  if (typeof named !== 'string' || named.trim() === '')
    throw refusedLogin(`Expected the claim ${name} (login.oidc.name) to name the person, and the OpenID provider says none.`);
  return { name: named.trim(), groups: groupsIn(said[groups]), issuer };
}

function groupsIn(claim: unknown): readonly string[] {
  if (typeof claim === 'string') return claim.split(/[\s,]+/).filter((group) => group !== '');
  return Array.isArray(claim) ? claim.filter((group) => typeof group === 'string') : [];
}

export function refusedLogin(detail: string): Problem {
  return new Problem(401, 'unauthenticated', detail);
}

function away(issuer: string): Problem {
  return unavailable(`The OpenID provider ${issuer} does not answer. Log in with a token, or try again.`, 30);
}

/** It is the network's, or the provider's own trouble, and not a no. */
function isAway(error: unknown): boolean {
  if (error instanceof client.ResponseBodyError) return error.status >= 500;
  if (error instanceof client.AuthorizationResponseError) return false;
  return (
    error instanceof TypeError || (error instanceof Error && (error.name === 'TimeoutError' || error.cause instanceof TypeError))
  );
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : '';
  return `${messageOf(error)}${cause}`;
}
