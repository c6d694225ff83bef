import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import * as x509 from '@peculiar/asn1-x509';

/*
 * Certificates as no authority would issue them, which OpenSSL's command does not make either. Keys are elliptic curves, unless they are given.
 */

export interface MadeCertificate {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  readonly subject: x509.Name;
}

export interface CertificateParts {
  /** Its common name; '' is an empty subject. */
  readonly subject: string;
  /** Absent: itself. */
  readonly issuer?: Pick<MadeCertificate, 'key' | 'subject'>;
  readonly extensions?: readonly x509.Extension[];
  readonly keys?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Of the version 3 unless it is said. */
  readonly version?: x509.Version;
  /** Hexadecimal; default: a small number. */
  readonly serial?: string;
  /** The algorithm that is named beside the signature, in place of the one that is named within. */
  readonly namedBeside?: string;
}

const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const rsaWithSha256 = '1.2.840.113549.1.1.11';
let made = 0;

export function ellipticKeys(namedCurve = 'prime256v1', paramEncoding: 'named' | 'explicit' = 'named') {
  return generateKeyPairSync('ec', { namedCurve, paramEncoding });
}

export function makeCertificate(parts: CertificateParts): MadeCertificate {
  const keys = parts.keys ?? ellipticKeys();
  const subject = nameOf(parts.subject);
  const issuer = parts.issuer ?? { key: keys.privateKey, subject };
  const signature = algorithm(issuer.key.asymmetricKeyType === 'rsa' ? rsaWithSha256 : ecdsaWithSha256);
  made += 1;
  const serial = parts.serial ?? (0x4000 + made).toString(16);
  const tbsCertificate = new x509.TBSCertificate({
    version: parts.version ?? x509.Version.v3,
    serialNumber: Uint8Array.from(Buffer.from(serial, 'hex')).buffer,
    signature,
    issuer: issuer.subject,
    validity: new x509.Validity({
      notBefore: parts.notBefore ?? new Date('2026-01-01'),
      notAfter: parts.notAfter ?? new Date('2027-01-01'),
    }),
    subject,
    subjectPublicKeyInfo: AsnConvert.parse(keys.publicKey.export({ type: 'spki', format: 'der' }), x509.SubjectPublicKeyInfo),
    ...(parts.extensions !== undefined && { extensions: new x509.Extensions([...parts.extensions]) }),
  });
  const certificate = new x509.Certificate({
    tbsCertificate,
    signatureAlgorithm: parts.namedBeside === undefined ? signature : algorithm(parts.namedBeside),
    signatureValue: Uint8Array.from(sign('sha256', Buffer.from(AsnConvert.serialize(tbsCertificate)), issuer.key)).buffer,
  });
  return { certificate: new X509Certificate(Buffer.from(AsnConvert.serialize(certificate))), key: keys.privateKey, subject };
}

function algorithm(id: string): x509.AlgorithmIdentifier {
  return new x509.AlgorithmIdentifier({ algorithm: id, ...(id === rsaWithSha256 && { parameters: null }) });
}

function nameOf(commonName: string): x509.Name {
  if (commonName === '') return new x509.Name();
  const value = new x509.AttributeValue({ utf8String: commonName });
  return new x509.Name([new x509.RelativeDistinguishedName([new x509.AttributeTypeAndValue({ type: '2.5.4.3', value })])]);
}

function extension(extnID: string, value: unknown, critical = false): x509.Extension {
  const der = value instanceof Uint8Array ? value : new Uint8Array(AsnConvert.serialize(value));
  return new x509.Extension({ extnID, critical, extnValue: new OctetString(Uint8Array.from(der)) });
}

/** @param critical as the standard has it, unless it is said */
export const extensionOf = {
  authority: (pathLength?: number, critical = true) =>
    extension(
      x509.id_ce_basicConstraints,
      new x509.BasicConstraints({ cA: true, ...(pathLength !== undefined && { pathLenConstraint: pathLength }) }),
      critical,
    ),
  noAuthority: () => extension(x509.id_ce_basicConstraints, new x509.BasicConstraints({ cA: false }), true),
  usage: (flags: number) => extension(x509.id_ce_keyUsage, new x509.KeyUsage(flags), true),
  purposes: (ids: readonly string[], critical = false) =>
    extension(x509.id_ce_extKeyUsage, new x509.ExtendedKeyUsage([...ids]), critical),
  names: (dNSName: string, critical = false) =>
    extension(x509.id_ce_subjectAltName, new x509.SubjectAlternativeName([new x509.GeneralName({ dNSName })]), critical),
  issuerKey: (id: string, critical = false) =>
    extension(
      x509.id_ce_authorityKeyIdentifier,
      new x509.AuthorityKeyIdentifier({ keyIdentifier: new x509.KeyIdentifier(Buffer.from(id)) }),
      critical,
    ),
  ownKey: (id: string, critical = false) =>
    extension(x509.id_ce_subjectKeyIdentifier, new x509.SubjectKeyIdentifier(Buffer.from(id)), critical),
  /** Any other, by its DER in hexadecimal. */
  other: (id: string, der: string, critical = false) => extension(id, Buffer.from(der, 'hex'), critical),
};
