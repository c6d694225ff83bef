import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { type Authenticate, type Authenticity, bearerIn, refused } from '../authentication.ts';
import { unavailable } from '../problem.ts';
import { createIssuerKeys, type IssuerKeysOptions, KeysUnavailable } from './issuer-keys.ts';

/** A token that is not good; the message is for the log, and repeats nothing of the token. */
export class TokenRefused extends Error {
  override readonly name = 'TokenRefused';
}

export interface TokenVerifierOptions extends IssuerKeysOptions {
  /** `url`: without a slash at the end; `aliases`: other values of `iss` by which it goes. */
  readonly issuers: readonly { readonly url: string; readonly aliases?: readonly string[] }[];
  /** A token has to be meant for one of them. */
  readonly audiences: readonly string[];
}

export interface VerifiedToken {
  /** The `url` of the issuer. */
  readonly issuer: string;
  readonly claims: JWTPayload;
}

/** Signed by a private key: with a shared secret, the public key could be used as one. `none` is none of them either. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];

/** Clocks differ by that much. */
const clockToleranceSeconds = 5;

/**
 * OpenID Connect tokens of trusted issuers: signature, issuer, audience and times.
 * @returns a function that throws TokenRefused, or KeysUnavailable if it cannot tell now
 */
export function createTokenVerifier({ issuers, audiences, ...options }: TokenVerifierOptions) {
  const known = issuers.map((issuer) => ({ ...issuer, keys: createIssuerKeys(issuer.url, options) }));
  return async (token: string): Promise<VerifiedToken> => {
    const { iss, kid } = peek(token);
    const issuer = known.find(({ url, aliases = [] }) => [url, `${url}/`, ...aliases].includes(iss));
    if (issuer === undefined) throw new TokenRefused(`its issuer (iss) is none of ${known.map(({ url }) => url).join(', ')}`);
    // Otherwise every key of the issuer would have to be tried.
    if (kid === undefined) throw new TokenRefused('it names no key (kid)');
    try {
      const { payload } = await jwtVerify(token, issuer.keys, {
        algorithms,
        audience: [...audiences],
        requiredClaims: ['exp'],
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(options.now()),
      });
      // jose looks at `iat` only where a greatest age is given.
      if (payload.iat !== undefined && payload.iat > options.now() / 1000 + clockToleranceSeconds)
        throw new TokenRefused('it is issued in the future (iat): compare the clocks');
      return { issuer: issuer.url, claims: payload };
    } catch (error) {
      if (error instanceof TokenRefused || error instanceof KeysUnavailable) throw error;
      throw new TokenRefused(reasonOf(error, audiences));
    }
  };
}

/** What an unverified token says, only to know whose keys to ask. */
function peek(token: string): { readonly iss: string; readonly kid: string | undefined } {
  try {
    const { iss } = decodeJwt(token);
    const { kid } = decodeProtectedHeader(token);
    return { iss: typeof iss === 'string' ? iss : '', kid: typeof kid === 'string' && kid !== '' ? kid : undefined };
  } catch {
    throw new TokenRefused('it is no JSON Web Token');
  }
}

/** By kinds of errors, never by what they quote. */
function reasonOf(error: unknown, audiences: readonly string[]): string {
  if (error instanceof errors.JWTExpired) return 'it has expired (exp)';
  if (error instanceof errors.JWTClaimValidationFailed) return wrongClaim(error, audiences);
  if (error instanceof errors.JOSEAlgNotAllowed) return `its algorithm (alg) is none of ${algorithms.join(', ')}`;
  if (error instanceof errors.JWKSNoMatchingKey) return 'its key (kid) is none of its issuer';
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'its key (kid) is several of its issuer';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is wrong';
  if (error instanceof errors.JOSEError) return `it is no good JSON Web Token (${error.code})`;
  return `its key cannot be used (${error instanceof Error ? error.name : 'unknown error'})`;
}

function wrongClaim({ claim, reason }: errors.JWTClaimValidationFailed, audiences: readonly string[]): string {
  if (reason === 'missing') return `it has no ${claim}`;
  if (claim === 'aud') return `its audience (aud) is not ${audiences.join(' or ')}`;
  if (claim === 'nbf') return 'it is not valid yet (nbf)';
  return `its ${claim} is not of the form of that claim`;
}

export interface TokenAuthentication extends Omit<TokenVerifierOptions, 'now'> {
  /** Default: the clock. */
  readonly now?: (() => number) | undefined;
  /** Whether the owner of a good token may do this. */
  readonly judge: (token: VerifiedToken) => Authenticity;
  /** For the log. */
  readonly source: string;
}

/**
 * `Authorization: Bearer TOKEN`, a token of OpenID Connect.
 * @returns what a receiver says of it. `authenticate` throws Problem 503 if the issuer's keys are not to be had: sending it again may help
 */
export function byToken({ judge, source, now = Date.now, ...options }: TokenAuthentication) {
  const verify = createTokenVerifier({ ...options, now });
  const refusedInLog = 'OIDC token validation failed';
  const authenticate: Authenticate = async (head) => {
    const token = bearerIn(head);
    if (token === undefined) return refused('Authorization has no bearer token');
    try {
      return judge(await verify(token));
    } catch (error) {
      if (error instanceof TokenRefused) return refused(`the token is refused: ${error.message}`);
      if (!(error instanceof KeysUnavailable)) throw error;
      options.log.warn({ source, reason: error.message, address: head.address }, refusedInLog);
      throw unavailable('The token cannot be verified now: its issuer does not answer. Send it again later.');
    }
  };
  return { challenge: 'Bearer realm="landfall"', authenticate, refusedInLog };
}
