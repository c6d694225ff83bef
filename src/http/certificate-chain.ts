import type { KeyObject, X509Certificate } from 'node:crypto';
import * as rsa from '@peculiar/asn1-rsa';
import { AsnConvert } from '@peculiar/asn1-schema';
import * as x509 from '@peculiar/asn1-x509';

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
  x509.id_ce_keyUsage,
  x509.id_ce_subjectAltName,
  x509.id_ce_basicConstraints,
  x509.id_ce_certificatePolicies,
  x509.id_ce_extKeyUsage,
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
  if (authorities.some(({ fingerprint256 }) => fingerprint256 === leaf.fingerprint256)) return undefined;
  /** Why authorities that would fit were passed over. */
  const reasons: string[] = [];
  const isFit = (reason: string | undefined): boolean => {
    if (reason !== undefined) reasons.push(reason);
    return reason === undefined;
  };
  /** Fingerprints of intermediates that were followed: each only once, however they are entangled. */
  const seen = new Set<string>();
  /** @param below authorities between the client's certificate and the issuer of this one */
  const reaches = (certificate: X509Certificate, below: number): boolean => {
    const isIssuer = (issuer: X509Certificate): boolean =>
      certificate.checkIssued(issuer) && isSignedBy(certificate, issuer) && isFit(unfitAuthority(issuer, below, now));
    if (authorities.some(isIssuer)) return true;
    return intermediates.slice(0, longestChain).some((issuer) => {
      if (seen.has(issuer.fingerprint256) || !isIssuer(issuer)) return false;
      seen.add(issuer.fingerprint256);
      // The signature of an authority that is trusted as it is proves nothing; that of one in between does.
      return isFit(inItsChain(weakness(issuer))) && reaches(issuer, below + 1);
    });
  };
  if (reaches(leaf, 0)) return undefined;
  return reasons[0] ?? (leaf.checkIssued(leaf) ? 'it is self-signed' : 'no trusted authority has issued it');
}

function unfitAuthority(issuer: X509Certificate, below: number, now: Date): string | undefined {
  if (!issuer.ca) return 'its issuer is no authority';
  const details = detailsOf(issuer);
  if (details === undefined) return inItsChain(unreadable);
  // The right way round: of a length that is no number, neither comparison holds.
  if (details.pathLength !== undefined && !(below <= details.pathLength))
    return 'its chain is longer than an authority in it allows';
  if (details.setsUnknownConditions) return 'an authority in its chain sets conditions that are not known here';
  if (isForOthers(issuer)) return 'an authority in its chain is neither for clients nor for servers';
  return inItsChain(outOfDate(issuer, now));
}

function inItsChain(reason: string | undefined): string | undefined {
  return reason && `an authority in its chain: ${reason}`;
}

/** Node calls the extended key usage just `keyUsage`. */
function isForOthers({ keyUsage }: X509Certificate): boolean {
  return keyUsage !== undefined && !keyUsage.some((use) => purposes.includes(use));
}

function unfitForClients(leaf: X509Certificate): string | undefined {
  const details = detailsOf(leaf);
  if (details === undefined) return unreadable;
  if (isForOthers(leaf)) return notForClients;
  const usable = x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyAgreement;
  if (details.keyUsage !== undefined && (details.keyUsage & usable) === 0) return notForClients;
  return details.setsUnknownConditions ? 'it sets conditions that are not known here' : undefined;
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
  const key = publicKeyOf(certificate);
  if (key === undefined) return 'its key cannot be read';
  if (isShort(key)) return 'its key is too short';
  const details = detailsOf(certificate);
  if (details?.isOnOwnCurve) return 'its key is on a curve of its own';
  return details?.isForgeable === false ? undefined : 'its signature is of a kind that can be forged';
}

/** Undefined where OpenSSL reads the certificate, but not the key in it: it does so only now, and throws. */
function publicKeyOf(certificate: X509Certificate): KeyObject | undefined {
  try {
    return certificate.publicKey;
  } catch {
    return undefined;
  }
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  const key = publicKeyOf(issuer);
  return key !== undefined && certificate.verify(key);
}

/** As OpenSSL has it on level 2: 112 bits of security. A curve that has no name may have any weakness. */
function isShort({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  const { modulusLength, namedCurve = '' } = asymmetricKeyDetails ?? {};
  if (asymmetricKeyType === 'ec') return Number(/\d{3}/.exec(namedCurve)?.[0] ?? 0) < 224;
  return modulusLength !== undefined && modulusLength < 2048;
}

/**
 * What a certificate says that Node does not tell, or tells only as a text to be taken apart (RFC 5280, 4.1 and 4.2).
 * @returns undefined where it is not as RFC 5280 has it, an extension given twice included: which of them holds would be a guess
 */
export function detailsOf({ raw }: X509Certificate) {
  try {
    const { tbsCertificate, signatureAlgorithm } = AsnConvert.parse(raw, x509.Certificate);
    const extensions = tbsCertificate.extensions ?? [];
    if (new Set(extensions.map(({ extnID }) => extnID)).size < extensions.length) return undefined;
    const read = <T>(id: string, type: new () => T): T | undefined => {
      const found = extensions.find(({ extnID }) => extnID === id);
      return found === undefined ? undefined : AsnConvert.parse(found.extnValue, type);
    };
    const alternatives = read(x509.id_ce_subjectAltName, x509.SubjectAlternativeName) ?? [];
    return {
      /** DNS names among its subject's alternative names, each once. A common name is no name: RFC 9525, 2. */
      names: [...new Set(alternatives.flatMap(({ dNSName }) => dNSName ?? []))],
      /** How many more authorities may follow below this one; undefined: any number. */
      pathLength: read(x509.id_ce_basicConstraints, x509.BasicConstraints)?.pathLenConstraint,
      /** Flags of the library's `KeyUsageFlags`; undefined: any use. */
      keyUsage: read(x509.id_ce_keyUsage, x509.KeyUsage)?.toNumber(),
      /** Whether a verifier has to obey an extension that is not obeyed here. Limits on names are always meant: RFC 5280, 4.2.1.10. */
      setsUnknownConditions: extensions.some(
        ({ extnID, critical }) => (critical || extnID === x509.id_ce_nameConstraints) && !understood.has(extnID),
      ),
      /** Whether its key brings the curve along in place of a name (RFC 5480, 2.1.1), so that somebody may have made one that fits. */
      isOnOwnCurve: isOnOwnCurve(tbsCertificate.subjectPublicKeyInfo.algorithm),
      /** Whether its signature is by MD2, MD5 or SHA-1, so that somebody may have made another certificate for it. */
      isForgeable: isForgeable(signatureAlgorithm),
    };
  } catch {
    // The library's errors are of several kinds, and their words help nobody: OpenSSL has taken it before, so it is no accident.
    return undefined;
  }
}

const dsaWithSha1 = '1.2.840.10040.4.3';
const ecdsaWithSha1 = '1.2.840.10045.4.1';
const forgeable: ReadonlySet<string> = new Set([
  rsa.id_md2WithRSAEncryption,
  rsa.id_md5WithRSAEncryption,
  rsa.id_sha1WithRSAEncryption,
  dsaWithSha1,
  ecdsaWithSha1,
]);
const strongHashes: ReadonlySet<string> = new Set([rsa.id_sha256, rsa.id_sha384, rsa.id_sha512]);

const ellipticCurveKey = '1.2.840.10045.2.1';
/** The first byte of an object identifier in DER. */
const objectIdentifier = 0x06;

function isOnOwnCurve({ algorithm, parameters }: x509.AlgorithmIdentifier): boolean {
  return algorithm === ellipticCurveKey && new Uint8Array(parameters ?? [])[0] !== objectIdentifier;
}

/** RSASSA-PSS names its hash beside it, and means SHA-1 where it names none. */
function isForgeable({ algorithm, parameters }: x509.AlgorithmIdentifier): boolean {
  if (algorithm !== rsa.id_RSASSA_PSS) return forgeable.has(algorithm);
  return !parameters || !strongHashes.has(AsnConvert.parse(parameters, rsa.RsaSaPssParams).hashAlgorithm.algorithm);
}
