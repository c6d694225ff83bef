import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import {
  type Authenticate,
  type Authenticity,
  authentic,
  bearerIn,
  type RequestHead,
  refused,
} from '../../http/authentication.ts';
import { createIsWithin } from '../../settings/networks.ts';
import type { ReadSecrets } from './settings.ts';

/** The ways in which sources prove who they are. Each takes the secrets as a function: they are read at each request. */

const hexDigits = { sha256: 64, sha1: 40 } as const;
type HmacAlgorithm = keyof typeof hexDigits;

/** An HMAC of the raw body, in hex. */
export interface SignatureHeader {
  readonly header: string;
  /** What stands before the HMAC, such as `sha256=`. */
  readonly prefix?: string | undefined;
  /** Default: `sha256`. */
  readonly algorithm?: HmacAlgorithm | undefined;
  /** The time is signed, too: the HMAC is of `TIME.BODY`. */
  readonly time?: SignatureClock | undefined;
}

/** When a request was signed, so that it cannot be sent again later. */
interface SignatureClock {
  /** Seconds or milliseconds since 1970, or ISO 8601. */
  readonly header: string;
  readonly maxAgeMs: number;
  readonly now: () => number;
}

/**
 * A signature in the first of these headers that has one; the challenge names the usual one. The body is read only for what can be a
 * signature: everything else is no reason to wait for it.
 */
export function bySignature(secrets: ReadSecrets, usual: SignatureHeader, ...others: readonly SignatureHeader[]) {
  const headers = [usual, ...others].map(readSignatureHeader);
  const none = refused(`no signature in ${usual.header}`);
  const authenticate: Authenticate = async (head, body) => {
    for (const { name, prefix, algorithm, isForm, malformed, wrong, time } of headers) {
      const value = head.headers[name];
      if (typeof value !== 'string' || !value.startsWith(prefix)) continue;
      const signature = value.slice(prefix.length);
      if (!isForm.test(signature)) return malformed;
      const late = time && whyNotNow(head, time);
      if (late !== undefined) return refused(late);
      const before = time === undefined ? '' : `${textOf(head, time.header)}.`;
      return isSignedByOneOf(secrets(), before, await body(), signature, algorithm) ? authentic : wrong;
    }
    return none;
  };
  return {
    authenticate,
    challenge: `HMAC-${(usual.algorithm ?? 'sha256').toUpperCase()} header="${usual.header}"`,
  };
}

/** Before the body is read. What the time says is believed only with the signature. */
function whyNotNow(head: RequestHead, { header, maxAgeMs, now }: SignatureClock): string | undefined {
  const written = textOf(head, header)?.trim() ?? '';
  const number = /^\d{1,15}$/.test(written) ? Number(written) : undefined;
  // Seconds have ten digits until the year 2286.
  const at = number === undefined ? Date.parse(written) : number < 1e11 ? number * 1000 : number;
  if (Number.isNaN(at)) return `no time in ${header}`;
  return Math.abs(now() - at) > maxAgeMs
    ? `the time in ${header} is not now: it was signed long ago, or the clocks differ`
    : undefined;
}

/** What is asked of every request, made once. */
function readSignatureHeader({ header, prefix = '', algorithm = 'sha256', time }: SignatureHeader) {
  const digits = hexDigits[algorithm];
  return {
    ...{ name: header.toLowerCase(), prefix, algorithm, time },
    isForm: new RegExp(`^[0-9a-f]{${digits}}$`, 'i'),
    malformed: refused(`what ${header} has is no signature: expected ${digits} hex digits`),
    wrong: refused(`the signature in ${header} is not that of the body under any of the secrets`),
  };
}

/**
 * All secrets are tried whatever comes out, so the time taken tells nothing about which one it was.
 * @param before what was signed before the body
 */
function isSignedByOneOf(
  secrets: readonly string[],
  before: string,
  body: Buffer,
  signature: string,
  algorithm: HmacAlgorithm,
): boolean {
  const given = Buffer.from(signature, 'hex');
  const verdicts = secrets.map((secret) =>
    timingSafeEqual(createHmac(algorithm, secret).update(before).update(body).digest(), given),
  );
  return verdicts.includes(true);
}

/** `Authorization: Bearer SECRET` */
export function byBearer(secrets: ReadSecrets): Authenticate {
  return byOneOf(secrets, 'Authorization has no bearer token', (head) => [bearerIn(head)]);
}

/** `Authorization: SECRET` just as it is configured, or any other header. */
export function byHeader(secrets: ReadSecrets, header = 'Authorization'): Authenticate {
  return byOneOf(secrets, `no ${header}`, (head) => [textOf(head, header)]);
}

/** The secret in one header or another, as it is; in `Authorization` also after `Bearer`. */
export function byHeaders(secrets: ReadSecrets, headers: readonly string[]): Authenticate {
  return byOneOf(secrets, `no ${headers.join(' and no ')}`, (head) =>
    headers.flatMap((header) => [header.toLowerCase() === 'authorization' ? bearerIn(head) : undefined, textOf(head, header)]),
  );
}

/** The secret in the URL's path, or in `Authorization` (with or without `Bearer`) if the source can send that. */
export function byPathOrHeader(secrets: ReadSecrets): Authenticate {
  return byOneOf(secrets, 'no secret in the path and none in Authorization', (head) => [
    head.pathSecret ?? bearerIn(head) ?? head.headers.authorization,
  ]);
}

/** Digests are compared, and all of them, so not even the length of a secret shows in the time taken. */
function byOneOf(secrets: ReadSecrets, whyNone: string, givenIn: (head: RequestHead) => (string | undefined)[]): Authenticate {
  return (head) => {
    const given = givenIn(head).flatMap((each) => (each ? [sha256(each)] : []));
    if (given.length === 0) return refused(whyNone);
    const known = secrets().map(sha256);
    const verdicts = given.flatMap((digest) => known.map((each) => timingSafeEqual(each, digest)));
    return verdicts.includes(true) ? authentic : refused('the secret is none of those that are configured');
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function textOf({ headers }: RequestHead, header: string): string | undefined {
  const value = headers[header.toLowerCase()];
  return typeof value === 'string' ? value : undefined;
}

/** Every one of them has to be satisfied; the first that is not says why. */
export function allOf(...proofs: readonly Authenticate[]): Authenticate {
  return async (head, body) => {
    let verdict: Authenticity = refused('nothing proves who it is');
    for (const authenticate of proofs) {
      verdict = await authenticate(head, body);
      if (!verdict.authentic) break;
    }
    return verdict;
  };
}

/** Only from these networks, whatever else the source proves. Undefined: from anywhere. */
export function fromNetworks(networks: readonly string[] | undefined, inner: Authenticate): Authenticate {
  if (networks === undefined) return inner;
  const isWithin = createIsWithin(networks);
  return (head, body) =>
    isWithin(head.address) ? inner(head, body) : refused('the address of the sender is in none of its networks');
}
