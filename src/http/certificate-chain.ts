import type { X509Certificate } from 'node:crypto';
import {
  id_ce_basicConstraints,
  id_ce_certificatePolicies,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  KeyUsageFlags,
} from '@peculiar/asn1-x509';
import { type CertificateDetails, detailsOf } from './certificate-details.ts';

/*
 * The verdict on a client certificate that a proxy has passed on, or that was issued for servers only. OpenSSL judges only what comes
 * in a handshake, and for the purpose of a client, so the rules that it applies there (RFC 5280, chapter 6) are applied here. Node checks
 * who issued what and by which signature, a library reads the rest; why none follows the path: docs/decisions/0031-libraries.md.
 * Neither asks whether a certificate was revoked.
 */

/** OpenSSL goes down to 100; no public chain has more than four. */
const longestChain = 8;

/**
 * clientAuth, and serverAuth: public authorities issue for servers alone since 2026, and quay.io shows the very certificate that its
 * site has. Whoever has its key is still the one that it names.
 */
const purposes: readonly string[] = ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1'];

/** What is obeyed here; policies bind only verifiers that are told to ask for one. Limits on names are not among it. */
const understood: ReadonlySet<string> = new Set([
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_basicConstraints,
  id_ce_certificatePolicies,
  id_ce_extKeyUsage,
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
  const details = detailsOf(issuer);
  if (details === undefined) return `an authority in its chain: ${unreadable}`;
  // The right way round: of a length that is no number, neither comparison holds.
  if (details.pathLength !== undefined && !(below <= details.pathLength))
    return 'its chain is longer than an authority in it allows';
  if (setsUnknownConditions(details)) return 'an authority in its chain sets conditions that are not known here';
  if (isForOthers(issuer)) return 'an authority in its chain is neither for clients nor for servers';
  const dated = outOfDate(issuer, now);
  return dated === undefined ? undefined : `an authority in its chain: ${dated}`;
}

/** Node calls the extended key usage just `keyUsage`. */
function isForOthers({ keyUsage }: X509Certificate): boolean {
  return keyUsage !== undefined && !keyUsage.some((use) => purposes.includes(use));
}

function unfitForClients(leaf: X509Certificate): string | undefined {
  const details = detailsOf(leaf);
  if (details === undefined) return unreadable;
  if (isForOthers(leaf)) return notForClients;
  const usable = KeyUsageFlags.digitalSignature | KeyUsageFlags.keyAgreement;
  if (details.keyUsage !== undefined && (details.keyUsage & usable) === 0) return notForClients;
  return setsUnknownConditions(details) ? 'it sets conditions that are not known here' : undefined;
}

const unreadable = 'it is not written as the standard (RFC 5280) has it';
export const notForClients = 'it was issued neither for clients nor for servers (by its key usages)';
export const expired = 'it has expired';
export const notYetValid = 'it is not valid yet';

export function outOfDate(certificate: X509Certificate, now: Date): string | undefined {
  // A date that cannot be read compares as false, so the right way round is to ask whether it is known to be good.
  if (!(Date.parse(certificate.validTo) >= now.getTime())) return expired;
  return Date.parse(certificate.validFrom) <= now.getTime() ? undefined : notYetValid;
}

function weakness(certificate: X509Certificate): string | undefined {
  if (hasShortKey(certificate)) return 'its key is too short';
  return detailsOf(certificate)?.isForgeable === false ? undefined : 'its signature is of a kind that can be forged';
}

/** As OpenSSL has it on level 2: 112 bits of security. A curve that has no name may have any weakness. */
function hasShortKey({ publicKey: { asymmetricKeyType, asymmetricKeyDetails } }: X509Certificate): boolean {
  const { modulusLength, namedCurve = '' } = asymmetricKeyDetails ?? {};
  if (asymmetricKeyType === 'ec') return Number(/\d{3}/.exec(namedCurve)?.[0] ?? 0) < 224;
  return modulusLength !== undefined && modulusLength < 2048;
}

function setsUnknownConditions({ binding }: CertificateDetails): boolean {
  return binding.some((id) => !understood.has(id));
}

function isSame(one: X509Certificate, other: X509Certificate): boolean {
  return one.fingerprint256 === other.fingerprint256;
}
