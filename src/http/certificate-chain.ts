import type { X509Certificate } from 'node:crypto';
import { type CertificateExtensions, extensionIds, extensionsOf } from './certificate-extensions.ts';

/*
 * The verdict on a client certificate that a proxy has passed on, or that was issued for servers only. OpenSSL judges only what comes
 * in a handshake, and for the purpose of a client, so the rules that it applies there (RFC 5280, chapter 6) are applied here, on what Node
 * can check of a certificate.
 * Neither asks whether a certificate was revoked.
 */

/** OpenSSL goes down to 100; no public chain has more than four. */
const longestChain = 8;

/**
 * clientAuth, and serverAuth: public authorities issue for servers alone since 2026, and quay.io shows the very certificate that its
 * site has. Whoever has its key is still the one that it names.
 */
const purposes: readonly string[] = ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1'];
const digitalSignature = 0x80;
const keyAgreement = 0x08;

/** What is obeyed here; policies bind only verifiers that are told to ask for one. */
const { nameConstraints: _, ...obeyed } = extensionIds;
const understood: ReadonlySet<string> = new Set(Object.values(obeyed));

/** MD5 and SHA-1 with RSA, SHA-1 with DSA, SHA-1 with ECDSA: OpenSSL refuses them in a handshake. */
const brokenSignatures: ReadonlySet<string> = new Set([
  '2a864886f70d010104',
  '2a864886f70d010105',
  '2a8648ce380403',
  '2a8648ce3d0401',
]);

/**
 * Whether a certificate was issued to a client by one of the authorities, by way of the intermediates that came with it.
 * @returns why it is not to be trusted; undefined: it is
 */
export function distrustOf(
  leaf: X509Certificate,
  intermediates: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
  now: Date,
): string | undefined {
  const own = unfitForClients(leaf) ?? outOfDate(leaf, now) ?? weakness(leaf);
  if (own !== undefined) return own;
  if (authorities.some((authority) => isSame(authority, leaf))) return undefined;
  const search: Search = { intermediates: intermediates.slice(0, longestChain), authorities, now, seen: new Set(), reasons: [] };
  if (reaches(leaf, 0, search)) return undefined;
  return search.reasons[0] ?? (leaf.checkIssued(leaf) ? 'it is self-signed' : 'no trusted authority has issued it');
}

interface Search {
  readonly intermediates: readonly X509Certificate[];
  readonly authorities: readonly X509Certificate[];
  readonly now: Date;
  /** Fingerprints of intermediates that were followed: each only once, however they are entangled. */
  readonly seen: Set<string>;
  /** Why authorities that would fit were passed over. */
  readonly reasons: string[];
}

/** @param below authorities between the client's certificate and the issuer of this one */
function reaches(certificate: X509Certificate, below: number, search: Search): boolean {
  const { authorities, intermediates, now, seen, reasons } = search;
  const isIssuer = (issuer: X509Certificate): boolean => {
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) return false;
    const reason = unfitAuthority(issuer, below, now);
    if (reason !== undefined) reasons.push(reason);
    return reason === undefined;
  };
  if (authorities.some(isIssuer)) return true;
  return intermediates.some((issuer) => {
    if (seen.has(issuer.fingerprint256) || !isIssuer(issuer)) return false;
    seen.add(issuer.fingerprint256);
    return isStrong(issuer, search) && reaches(issuer, below + 1, search);
  });
}

/** The signature of an authority that is trusted as it is proves nothing; that of one in between does. */
function isStrong(issuer: X509Certificate, { reasons }: Search): boolean {
  const reason = weakness(issuer);
  if (reason !== undefined) reasons.push(`an authority in its chain: ${reason}`);
  return reason === undefined;
}

function unfitAuthority(issuer: X509Certificate, below: number, now: Date): string | undefined {
  if (!issuer.ca) return 'its issuer is no authority';
  const { pathLength, ...extensions } = extensionsOf(issuer.raw);
  if (pathLength !== undefined && below > pathLength) return 'its chain is longer than an authority in it allows';
  if (setsUnknownConditions(extensions)) return 'an authority in its chain sets conditions that are not known here';
  if (isForOthers(issuer)) return 'an authority in its chain is neither for clients nor for servers';
  const dated = outOfDate(issuer, now);
  return dated === undefined ? undefined : `an authority in its chain: ${dated}`;
}

/** Node calls the extended key usage just `keyUsage`. */
function isForOthers({ keyUsage }: X509Certificate): boolean {
  return keyUsage !== undefined && !keyUsage.some((use) => purposes.includes(use));
}

function unfitForClients(leaf: X509Certificate): string | undefined {
  const extensions = extensionsOf(leaf.raw);
  if (isForOthers(leaf)) return notForClients;
  if (extensions.keyUsage !== undefined && (extensions.keyUsage & (digitalSignature | keyAgreement)) === 0) return notForClients;
  return setsUnknownConditions(extensions) ? 'it sets conditions that are not known here' : undefined;
}

export const notForClients = 'it was issued neither for clients nor for servers (by its key usages)';
export const expired = 'it has expired';
export const notYetValid = 'it is not valid yet';

export function outOfDate(certificate: X509Certificate, now: Date): string | undefined {
  // A date that cannot be read compares as false, so the right way round is to ask whether it is known to be good.
  if (!(Date.parse(certificate.validTo) >= now.getTime())) return expired;
  return Date.parse(certificate.validFrom) <= now.getTime() ? undefined : notYetValid;
}

function weakness(certificate: X509Certificate): string | undefined {
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  if (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) < 2048) return 'its key is too short';
  return brokenSignatures.has(extensionsOf(certificate.raw).signature)
    ? 'its signature is of a kind that can be forged'
    : undefined;
}

function setsUnknownConditions({ binding }: Pick<CertificateExtensions, 'binding'>): boolean {
  return binding.some((id) => !understood.has(id));
}

function isSame(one: X509Certificate, other: X509Certificate): boolean {
  return one.fingerprint256 === other.fingerprint256;
}
