import type { X509Certificate } from 'node:crypto';
import {
  id_md2WithRSAEncryption,
  id_md5WithRSAEncryption,
  id_RSASSA_PSS,
  id_sha1WithRSAEncryption,
  id_sha256,
  id_sha384,
  id_sha512,
  RsaSaPssParams,
} from '@peculiar/asn1-rsa';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  type AlgorithmIdentifier,
  BasicConstraints,
  Certificate,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
  KeyUsage,
  SubjectAlternativeName,
} from '@peculiar/asn1-x509';

/** What a certificate says that Node does not tell, or tells only as a text to be taken apart (RFC 5280, 4.1 and 4.2). */
export interface CertificateDetails {
  /** Common names and DNS names of its subject, each once. */
  readonly names: readonly string[];
  /** How many more authorities may follow below this one; undefined: any number. */
  readonly pathLength: number | undefined;
  /** Flags of the library's `KeyUsageFlags`; undefined: any use. */
  readonly keyUsage: number | undefined;
  /** Object identifiers of the extensions that a verifier has to obey, or to refuse where it cannot. */
  readonly binding: readonly string[];
  /** Whether its signature is by MD2, MD5 or SHA-1, so that somebody may have made another certificate for it. */
  readonly isForgeable: boolean;
}

/** @returns undefined where it is not as RFC 5280 has it, an extension given twice included: which of them holds would be a guess */
export function detailsOf({ raw }: X509Certificate): CertificateDetails | undefined {
  try {
    const { tbsCertificate, signatureAlgorithm } = AsnConvert.parse(raw, Certificate);
    const extensions = tbsCertificate.extensions ?? [];
    if (new Set(extensions.map(({ extnID }) => extnID)).size < extensions.length) return undefined;
    const read = <T>(id: string, type: new () => T): T | undefined => {
      const found = extensions.find(({ extnID }) => extnID === id);
      return found === undefined ? undefined : AsnConvert.parse(found.extnValue, type);
    };
    const commonNames = tbsCertificate.subject.flat().filter(({ type }) => type === commonName);
    const alternatives = read(id_ce_subjectAltName, SubjectAlternativeName) ?? [];
    const names = [...commonNames.map(({ value }) => value.toString()), ...alternatives.flatMap(({ dNSName }) => dNSName ?? [])];
    return {
      names: [...new Set(names)],
      pathLength: read(id_ce_basicConstraints, BasicConstraints)?.pathLenConstraint,
      keyUsage: read(id_ce_keyUsage, KeyUsage)?.toNumber(),
      // Limits on names are always meant: RFC 5280, 4.2.1.10.
      binding: extensions
        .filter(({ extnID, critical }) => critical || extnID === id_ce_nameConstraints)
        .map(({ extnID }) => extnID),
      isForgeable: isForgeable(signatureAlgorithm),
    };
  } catch {
    // The library's errors are of several kinds, and their words help nobody: OpenSSL has taken it before, so it is no accident.
    return undefined;
  }
}

const commonName = '2.5.4.3';
const dsaWithSha1 = '1.2.840.10040.4.3';
const ecdsaWithSha1 = '1.2.840.10045.4.1';
const forgeable: ReadonlySet<string> = new Set([
  id_md2WithRSAEncryption,
  id_md5WithRSAEncryption,
  id_sha1WithRSAEncryption,
  dsaWithSha1,
  ecdsaWithSha1,
]);
const strongHashes: ReadonlySet<string> = new Set([id_sha256, id_sha384, id_sha512]);

/** RSASSA-PSS names its hash beside it, and means SHA-1 where it names none. */
function isForgeable({ algorithm, parameters }: AlgorithmIdentifier): boolean {
  if (algorithm !== id_RSASSA_PSS) return forgeable.has(algorithm);
  return !parameters || !strongHashes.has(AsnConvert.parse(parameters, RsaSaPssParams).hashAlgorithm.algorithm);
}
