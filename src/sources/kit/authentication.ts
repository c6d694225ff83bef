import type { Authentication, RequestHead, Verdict } from './receiver.ts';
import { type HmacAlgorithm, isOneOf, type ReadSecrets, signedByOneOf } from './secrets.ts';
import { createIsWithin } from './settings.ts';

/** The ways in which sources prove who they are. Each is told the secrets as a function: they are read at each request. */

const authentic: Verdict = { authentic: true };

export function refused(reason: string): Verdict {
  return { authentic: false, reason };
}

/** HMAC over the raw body in a header, in hex, after a prefix such as `sha256=` where there is one. */
export function bySignature(
  secrets: ReadSecrets,
  { header, prefix = '', algorithm = 'sha256' }: { header: string; prefix?: string; algorithm?: HmacAlgorithm },
): Extract<Authentication, { covers: 'body' }> {
  const name = header.toLowerCase();
  const signatureIn = (head: RequestHead): string | undefined => {
    const value = textOf(head, name);
    return value?.startsWith(prefix) ? value.slice(prefix.length) : undefined;
  };
  return {
    covers: 'body',
    precheck: (head) => (signatureIn(head) === undefined ? refused(`no signature in ${header}`) : authentic),
    verify: (head, body) =>
      signedByOneOf(secrets(), body, signatureIn(head) ?? '', algorithm)
        ? authentic
        : refused(`the signature in ${header} is not that of the body under any of the secrets`),
  };
}

/** `Authorization: Bearer SECRET` */
export function byBearer(secrets: ReadSecrets): Authentication {
  return byHead((head) => secretVerdict(secrets, bearerIn(head), 'Authorization has no bearer token'));
}

/** `Authorization: SECRET` just as it is configured, or any other header. */
export function byHeader(secrets: ReadSecrets, header = 'Authorization'): Authentication {
  const name = header.toLowerCase();
  return byHead((head) => secretVerdict(secrets, textOf(head, name), `no ${header}`));
}

/** The secret in one header or another, as it is; in `Authorization` also after `Bearer`. */
export function byHeaders(secrets: ReadSecrets, headers: readonly string[]): Authentication {
  const names = headers.map((header) => header.toLowerCase());
  const whyNone = `no ${headers.join(' and no ')}`;
  return byHead((head) => {
    const given = names
      .flatMap((name) => (name === 'authorization' ? [bearerIn(head), textOf(head, name)] : [textOf(head, name)]))
      .filter((each) => each !== undefined && each !== '');
    const verdicts = given.map((each) => secretVerdict(secrets, each, whyNone));
    return verdicts.find(({ authentic }) => authentic) ?? verdicts[0] ?? refused(whyNone);
  });
}

/** The secret in the URL's path, or in `Authorization` (with or without `Bearer`) where the source can send that. */
export function byPathOrHeader(secrets: ReadSecrets): Authentication {
  return byHead((head) => {
    const given = head.pathSecret ?? bearerIn(head) ?? head.headers.authorization;
    return secretVerdict(secrets, given, 'no secret in the path and none in Authorization');
  });
}

/** Only from these networks, whatever else the source proves. Undefined: from anywhere. */
export function fromNetworks(networks: readonly string[] | undefined, inner: Authentication): Authentication {
  if (networks === undefined) return inner;
  const isWithin = createIsWithin(networks);
  const outside = ({ address }: RequestHead): Verdict | undefined =>
    isWithin(address) ? undefined : refused('the address of the sender is in none of its networks');
  if (inner.covers === 'head') return { covers: 'head', verify: (head) => outside(head) ?? inner.verify(head) };
  return { ...inner, precheck: (head) => outside(head) ?? inner.precheck(head) };
}

/** @param name of the header, in lower case */
function textOf({ headers }: RequestHead, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}

function byHead(verify: (head: RequestHead) => Verdict): Authentication {
  return { covers: 'head', verify };
}

function secretVerdict(secrets: ReadSecrets, given: string | undefined, whyNone: string): Verdict {
  if (given === undefined || given === '') return refused(whyNone);
  return isOneOf(secrets(), given) ? authentic : refused('the secret is none of those that are configured');
}

/** The token of `Authorization: Bearer TOKEN`. */
export function bearerIn({ headers }: RequestHead): string | undefined {
  return /^bearer +(\S+)$/i.exec(headers.authorization?.trim() ?? '')?.[1];
}
