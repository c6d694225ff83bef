import {
  type Authenticate,
  type Authenticity,
  authentic,
  bearerIn,
  type RequestHead,
  refused,
} from '../../http/authentication.ts';
import { createIsWithin } from '../../settings/networks.ts';
import { type HmacAlgorithm, isAcceptedToken, type ReadSecrets, signedByOneOf } from './secrets.ts';

/** The ways in which sources prove who they are. Each takes the secrets as a function: they are read at each request. */

/** An HMAC of the raw body, in hex. */
export interface SignatureHeader {
  readonly header: string;
  /** What stands before the HMAC, such as `sha256=`. */
  readonly prefix?: string | undefined;
  /** Default: `sha256`. */
  readonly algorithm?: HmacAlgorithm | undefined;
}

/** A signature in the first of these headers that has one. Without any, the body is not read. */
export function bySignature(secrets: ReadSecrets, usual: SignatureHeader, ...others: readonly SignatureHeader[]): Authenticate {
  const ways = [usual, ...others].map(({ header, prefix = '', algorithm = 'sha256' }) => ({
    header,
    algorithm,
    signatureIn: (head: RequestHead) => {
      const value = textOf(head, header.toLowerCase());
      return value?.startsWith(prefix) ? value.slice(prefix.length) : undefined;
    },
  }));
  return async (head, body) => {
    for (const { header, algorithm, signatureIn } of ways) {
      const signature = signatureIn(head);
      if (signature === undefined) continue;
      return signedByOneOf(secrets(), await body(), signature, algorithm)
        ? authentic
        : refused(`the signature in ${header} is not that of the body under any of the secrets`);
    }
    return refused(`no signature in ${usual.header}`);
  };
}

/** `Authorization: Bearer SECRET` */
export function byBearer(secrets: ReadSecrets): Authenticate {
  return (head) => compare(secrets, bearerIn(head), 'Authorization has no bearer token');
}

/** `Authorization: SECRET` just as it is configured, or any other header. */
export function byHeader(secrets: ReadSecrets, header = 'Authorization'): Authenticate {
  const name = header.toLowerCase();
  return (head) => compare(secrets, textOf(head, name), `no ${header}`);
}

/** The secret in one header or another, as it is; in `Authorization` also after `Bearer`. */
export function byHeaders(secrets: ReadSecrets, headers: readonly string[]): Authenticate {
  const names = headers.map((header) => header.toLowerCase());
  const whyNone = `no ${headers.join(' and no ')}`;
  return (head) => {
    const given = names
      .flatMap((name) => (name === 'authorization' ? [bearerIn(head), textOf(head, name)] : [textOf(head, name)]))
      .filter((each) => each !== undefined && each !== '');
    const results = given.map((each) => compare(secrets, each, whyNone));
    return results.find(({ authentic }) => authentic) ?? results[0] ?? refused(whyNone);
  };
}

/** The secret in the URL's path, or in `Authorization` (with or without `Bearer`) if the source can send that. */
export function byPathOrHeader(secrets: ReadSecrets): Authenticate {
  return (head) => {
    const given = head.pathSecret ?? bearerIn(head) ?? head.headers.authorization;
    return compare(secrets, given, 'no secret in the path and none in Authorization');
  };
}

/** Only from these networks, whatever else the source proves. Undefined: from anywhere. */
export function fromNetworks(networks: readonly string[] | undefined, inner: Authenticate): Authenticate {
  if (networks === undefined) return inner;
  const isWithin = createIsWithin(networks);
  return (head, body) =>
    isWithin(head.address) ? inner(head, body) : refused('the address of the sender is in none of its networks');
}

/** @param name of the header, in lower case */
function textOf({ headers }: RequestHead, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function compare(secrets: ReadSecrets, given: string | undefined, whyNone: string): Authenticity {
  if (given === undefined || given === '') return refused(whyNone);
  return isAcceptedToken(secrets(), given) ? authentic : refused('the secret is none of those that are configured');
}
