import type { Log } from '../../domain/log.ts';
import { type Authenticate, type Authenticity, bearerIn, refused } from '../authentication.ts';
import { Problem } from '../problem.ts';
import { KeysUnavailable } from './issuer-keys.ts';
import { TokenRefused, type VerifiedToken, type VerifyToken } from './token-verifier.ts';

/** What the log says of a token that is not taken. */
export const refusedTokenInLog = 'OIDC token validation failed';

export interface TokenAuthentication {
  readonly verify: VerifyToken;
  /** Whether the owner of a good token may do this. */
  readonly judge: (token: VerifiedToken) => Authenticity;
  readonly source: string;
  readonly log: Log;
}

/**
 * `Authorization: Bearer TOKEN`, a token of OpenID Connect.
 * @returns an authentication that throws Problem 503 if the issuer's keys are not to be had: sending it again may help then
 */
export function byToken({ verify, judge, source, log }: TokenAuthentication): Authenticate {
  return async (head) => {
    const token = bearerIn(head);
    if (token === undefined) return refused('Authorization has no bearer token');
    try {
      return judge(await verify(token));
    } catch (error) {
      if (error instanceof TokenRefused) return refused(`the token is refused: ${error.message}`);
      if (!(error instanceof KeysUnavailable)) throw error;
      log.warn({ source, reason: error.message, address: head.address }, refusedTokenInLog);
      throw new Problem(
        503,
        'unavailable',
        'The token cannot be verified now: its issuer does not answer. Send it again later.',
        {
          'Retry-After': '5',
        },
      );
    }
  };
}
