import { createLocalJWKSet, errors, type FlattenedJWSInput, type JSONWebKeySet, type JWTHeaderParameters } from 'jose';
import { z } from 'zod';
import { messageOf } from '../../domain/errors.ts';
import type { Log } from '../errors.ts';
import { type FetchLimits, fetchJson } from './fetch-json.ts';
import { isLoopback } from './issuer-url.ts';

/** The keys of an issuer are not to be had, so nothing can be said about its tokens: neither that they are good nor that they are not. */
export class KeysUnavailable extends Error {
  constructor(issuer: string, cause: unknown) {
    super(`the keys of ${issuer} could not be fetched: ${messageOf(cause)}`, { cause });
    this.name = 'KeysUnavailable';
  }
}

export type KeySet = ReturnType<typeof createLocalJWKSet>;

export interface IssuerKeys {
  /** @throws KeysUnavailable, and errors of jose where no key of the issuer fits */
  find(header: JWTHeaderParameters, token: FlattenedJWSInput): ReturnType<KeySet>;
}

export interface IssuerKeysOptions {
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly limits?: FetchLimits;
}

const defaultLimits: FetchLimits = { timeoutMs: 5_000, bytes: 256 * 1024 };
const minute = 60_000;
/** How long keys are used without asking again: a key that an issuer withdraws is trusted no longer than that. */
const freshForMs = 10 * minute;
/** How long they are used while the issuer does not answer. */
const usableForMs = 24 * 60 * minute;
/** Between two attempts where there are no keys at all. */
const firstRetryMs = 2_000;
/** Between two attempts where there are old ones. */
const retryMs = 30_000;
/**
 * Anybody can send tokens with made-up key ids, so asking again because of them is rationed: on average every 30 seconds. Some can be
 * saved up, so that a rotation is seen at once even right after the keys were fetched.
 */
const unknownKidEveryMs = 30_000;
const mostUnknownKidsSaved = 4;

/**
 * The keys of one issuer, found by its discovery document, kept, and fetched again as they age or are rotated. An outage of the issuer is
 * survived with the last good ones.
 * @see https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
 */
export function createIssuerKeys(issuer: string, options: IssuerKeysOptions): IssuerKeys {
  const { now, log, limits = defaultLimits } = options;
  let kept: { readonly keys: KeySet; readonly fetchedAt: number } | undefined;
  let attempted: { readonly at: number; readonly error?: KeysUnavailable } | undefined;
  let pending: Promise<void> | undefined;
  const mayRefetch = createRation(now);

  const refresh = async (): Promise<void> => {
    const at = now();
    try {
      kept = { keys: await fetchKeys(issuer, limits), fetchedAt: at };
      attempted = { at };
    } catch (cause) {
      const error = new KeysUnavailable(issuer, cause);
      attempted = { at, error };
      log.warn({ issuer, reason: error.message }, 'the keys of a token issuer could not be fetched');
    }
  };
  const refreshOnce = (): Promise<void> => {
    pending ??= refresh().finally(() => {
      pending = undefined;
    });
    return pending;
  };

  const current = async (): Promise<KeySet> => {
    const isFresh = kept !== undefined && now() - kept.fetchedAt < freshForMs;
    const waitMs = kept === undefined ? firstRetryMs : retryMs;
    const hasJustFailed = attempted?.error !== undefined && now() - attempted.at < waitMs;
    if (!isFresh && (!hasJustFailed || pending !== undefined)) await refreshOnce();
    if (kept !== undefined && now() - kept.fetchedAt < usableForMs) return kept.keys;
    throw attempted?.error ?? new KeysUnavailable(issuer, 'the last ones are too old');
  };

  return {
    async find(header, token) {
      const keys = await current();
      try {
        return await keys(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        if (pending === undefined && !mayRefetch()) throw error;
        await refreshOnce();
        return await (await current())(header, token);
      }
    },
  };
}

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

async function fetchKeys(issuer: string, limits: FetchLimits): Promise<KeySet> {
  const discoveryUrl = `${issuer}/.well-known/openid-configuration`;
  const discovery = discoverySchema.safeParse(await fetchJson(discoveryUrl, limits));
  if (!discovery.success) throw new Error(`expected issuer and jwks_uri in ${discoveryUrl}, found none`);
  const { issuer: named, jwks_uri: keysUrl } = discovery.data;
  // Without this, whoever can have one issuer's document served under another's name lends it his keys.
  if (named !== issuer && named !== `${issuer}/`)
    throw new Error(`expected ${discoveryUrl} to name the issuer ${issuer}, found another`);
  if (!isTrustworthy(keysUrl, issuer)) throw new Error(`expected jwks_uri of ${discoveryUrl} to begin with https://`);
  const keys = createLocalJWKSet((await fetchJson(keysUrl, limits)) as JSONWebKeySet);
  // By none could anything be verified, and in place of good ones it would turn every job away.
  if (keys.jwks().keys.length === 0) throw new Error(`expected keys at ${keysUrl}, found an empty list`);
  return keys;
}

function isTrustworthy(keysUrl: string, issuer: string): boolean {
  if (!URL.canParse(keysUrl)) return false;
  return new URL(keysUrl).protocol === 'https:' || (isLoopback(issuer) && isLoopback(keysUrl));
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
