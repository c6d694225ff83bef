import { createLocalJWKSet, createRemoteJWKSet, customFetch, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { messageOf } from '../../domain/errors.ts';
import type { Log } from '../../domain/log.ts';
import { isLoopbackHost } from '../../domain/plain-http.ts';
import { request } from '../../platform/http/client.ts';

/** The keys of an issuer are not to be had, so nothing can be said about its tokens: neither that they are good nor that they are not. */
export class KeysUnavailable extends Error {
  constructor(issuer: string, cause: unknown) {
    super(`the keys of ${issuer} could not be fetched: ${messageOf(cause)}`, { cause });
    this.name = 'KeysUnavailable';
  }
}

/** What an issuer may take, and send. The documents of GitHub, GitLab and Google are a few KiB. */
const defaultLimits = { timeoutMs: 5_000, bytes: 256 * 1024 };
type FetchLimits = typeof defaultLimits;

export interface IssuerKeysOptions {
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly limits?: FetchLimits;
}

const minute = 60_000;
/** How long keys are used without asking again: a key that an issuer withdraws is trusted no longer than that. */
const freshForMs = 10 * minute;
/** How long they are used while the issuer does not answer. */
const usableForMs = 24 * 60 * minute;
/** Between two attempts, where there are no keys at all and where there are old ones. */
const firstRetryMs = 2_000;
const retryMs = 30_000;
/**
 * Anybody can send tokens with made-up key ids, so asking again because of them is rationed: on average every 30 seconds. Some can be
 * saved up, so that a rotation is seen at once even right after the keys were fetched.
 */
const unknownKidEveryMs = 30_000;
const mostUnknownKidsSaved = 4;

/**
 * The keys of one issuer, found by its discovery document, and fetched again as they age or are rotated. The last good ones survive an
 * outage of the issuer.
 *
 * jose keeps the good keys and lets many askers share one fetch. When to fetch is decided here: left to itself, it would refuse tokens
 * while the issuer is down, ask it again at every request, and see a rotation half a minute late.
 * @returns a function that throws KeysUnavailable, and errors of jose where no key of the issuer fits
 * @see https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
 */
export function createIssuerKeys(issuer: string, { now, log, limits = defaultLimits }: IssuerKeysOptions): JWTVerifyGetKey {
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let failure: { readonly at: number; readonly error: KeysUnavailable } | undefined;
  const mayRefetch = createRation(now);
  const fetchAndNote = async (): Promise<Response> => {
    const at = now();
    try {
      const keys = await fetchKeys(issuer, limits);
      [fetchedAt, failure] = [at, undefined];
      return Response.json(keys);
    } catch (cause) {
      const error = new KeysUnavailable(issuer, cause);
      failure = { at, error };
      log.warn({ issuer, reason: error.message }, 'the keys of a token issuer could not be fetched');
      throw error;
    }
  };
  const keys = createRemoteJWKSet(new URL(issuer), {
    cacheMaxAge: Number.POSITIVE_INFINITY,
    cooldownDuration: Number.POSITIVE_INFINITY,
    [customFetch]: fetchAndNote,
  });
  /** What went wrong is in `failure`: the keys from before may do. */
  const refresh = () => keys.reload().catch(() => undefined);

  return async (header, token) => {
    const isFresh = now() - fetchedAt < freshForMs;
    const waitMs = Number.isFinite(fetchedAt) ? retryMs : firstRetryMs;
    const hasJustFailed = failure !== undefined && now() - failure.at < waitMs;
    if (!isFresh && (!hasJustFailed || keys.reloading)) await refresh();
    if (now() - fetchedAt >= usableForMs) throw failure?.error ?? new KeysUnavailable(issuer, 'the last ones are too old');
    try {
      return await keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || (!keys.reloading && !mayRefetch())) throw error;
      await refresh();
      return await keys(header, token);
    }
  };
}

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

async function fetchKeys(issuer: string, limits: FetchLimits): Promise<JSONWebKeySet> {
  const discoveryUrl = `${issuer}/.well-known/openid-configuration`;
  const discovery = discoverySchema.safeParse(await fetchJson(discoveryUrl, limits));
  if (!discovery.success) throw new Error(`expected issuer and jwks_uri in ${discoveryUrl}, found none`);
  const { issuer: named, jwks_uri: keysUrl } = discovery.data;
  // Without this, whoever can have one issuer's document served under another's name lends it his keys.
  if (named !== issuer && named !== `${issuer}/`)
    throw new Error(`expected ${discoveryUrl} to name the issuer ${issuer}, found another`);
  if (URL.parse(keysUrl)?.protocol !== 'https:' && !(isLoopback(issuer) && isLoopback(keysUrl)))
    throw new Error(`expected jwks_uri of ${discoveryUrl} to begin with https://`);
  const found = createLocalJWKSet((await fetchJson(keysUrl, limits, new URL(issuer))) as JSONWebKeySet).jwks();
  // By none could anything be verified, and in place of good ones it would turn every job away.
  if (found.keys.length === 0) throw new Error(`expected keys at ${keysUrl}, found an empty list`);
  return found;
}

/**
 * @param namedBy who has named the address, if the configuration has not
 * @throws Error where it does not come in time, is too large, moved, or no JSON; the message says which
 */
async function fetchJson(url: string, { timeoutMs, bytes }: FetchLimits, namedBy?: URL): Promise<unknown> {
  const headers = { accept: 'application/json' };
  const asked = { what: url, method: 'GET', url: new URL(url), headers, timeoutMs, longestAnswer: bytes } as const;
  const sent = { ...asked, ...(namedBy !== undefined && namedBy.origin !== asked.url.origin && { namedBy: [namedBy] as const }) };
  const { status, text } = await request(sent);
  if (status !== 200) throw new Error(`expected 200 from ${url}, found ${status}`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`expected JSON from ${url}, found something else`, { cause: error });
  }
}

/** An issuer's keys are only as good as the way they come: `https://`, without credentials, query and fragment. */
export function isIssuerUrl(url: string): boolean {
  const parsed = URL.parse(url);
  if (parsed === null) return false;
  const { protocol, username, password, search, hash } = parsed;
  return (protocol === 'https:' || isLoopback(url)) && `${username}${password}${search}${hash}` === '';
}

/** Whether a URL is of this machine, where plain HTTP can be trusted. */
function isLoopback(url: string): boolean {
  const { protocol, hostname = '' } = URL.parse(url) ?? {};
  return protocol === 'http:' && isLoopbackHost(hostname);
}

/** @returns a function that says whether one more is allowed, and counts it */
function createRation(now: () => number): () => boolean {
  let saved = mostUnknownKidsSaved;
  let countedAt = now();
  return () => {
    const since = Math.max(0, now() - countedAt);
    saved = Math.min(mostUnknownKidsSaved, saved + since / unknownKidEveryMs);
    countedAt = now();
    if (saved < 1) return false;
    saved -= 1;
    return true;
  };
}
