import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  Certificate,
  Extension,
  Extensions,
  Name,
  RelativeDistinguishedName,
} from '@peculiar/asn1-x509';
import { detailsOf, distrustOf } from '../../src/http/certificate-chain.ts';
import { type Authority, createAuthority } from '../support/certificates.ts';

const client = {
  commonName: 'client',
  name: 'client.example',
  extensions: ['extendedKeyUsage=clientAuth', 'keyUsage=digitalSignature'],
};
const isAuthority = 'basicConstraints=critical,CA:true';
const signs = 'keyUsage=critical,keyCertSign';
const forgeable = 'its signature is of a kind that can be forged';
const keyUsage = '2.5.29.15';
const basicConstraints = '2.5.29.19';
const authorityKey = '2.5.29.35';

/** A certificate and the key that belongs to it. */
interface Party {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

describe('the chain of a certificate', () => {
  let root: Authority;
  let trusted: Party;
  before(async () => {
    root = await createAuthority();
    trusted = await partyOf(root);
  });
  after(() => rm(root.folder, { recursive: true }));

  const verdict = (leaf: X509Certificate, chain: readonly X509Certificate[] = [], authorities = [trusted.certificate]) =>
    distrustOf(leaf, chain, authorities, new Date());
  const leafOf = async (authority: Authority, options = {}) =>
    new X509Certificate((await authority.issue({ ...client, ...options })).cert);

  it('holds from the leaf by way of two authorities to one that is trusted', async () => {
    const first = await root.issueAuthority([`${isAuthority},pathlen:1`, signs]);
    const second = await first.issueAuthority([`${isAuthority},pathlen:0`, signs]);
    const chain = [(await partyOf(second)).certificate, (await partyOf(first)).certificate];
    assert.equal(verdict(await leafOf(second), chain), undefined);
  });

  for (const [claim, extensions, reason] of [
    ['that has no basic constraints', [signs], 'its issuer is no authority'],
    ['that is a client', ['basicConstraints=critical,CA:false', signs], 'its issuer is no authority'],
    [
      'that may sign only lists of revoked ones',
      [isAuthority, 'keyUsage=critical,cRLSign'],
      'no trusted authority has issued it',
    ],
    [
      'that sets an unknown critical condition',
      [isAuthority, signs, '1.2.3.4=critical,ASN1:NULL'],
      /conditions that are not known/,
    ],
    ['that limits names', [isAuthority, signs, 'nameConstraints=excluded;DNS:evil.example'], /conditions that are not known/],
    ['that is for signing code', [isAuthority, signs, 'extendedKeyUsage=codeSigning'], /neither for clients nor for servers/],
  ] as const) {
    it(`does not hold by way of one ${claim}`, async () => {
      const between = await root.issueAuthority(extensions);
      const found = verdict(await leafOf(between), [(await partyOf(between)).certificate]);
      if (typeof reason === 'string') assert.equal(found, reason);
      else assert.match(found ?? 'none', reason);
    });
  }

  it('is no longer than each authority in it allows, the trusted one included', async () => {
    const first = await root.issueAuthority([`${isAuthority},pathlen:0`, signs]);
    const second = await first.issueAuthority();
    const chain = [(await partyOf(second)).certificate, (await partyOf(first)).certificate];
    const tooLong = 'its chain is longer than an authority in it allows';
    assert.equal(verdict(await leafOf(second), chain), tooLong);
    assert.equal(verdict(await leafOf(second), chain.slice(0, 1), chain.slice(1)), tooLong);
    assert.equal(verdict(await leafOf(first), chain.slice(1)), undefined);
  });

  it('is followed once where authorities have issued each other, and holds only if one of them is trusted', async () => {
    const [a, b] = [
      named('a', await partyOf(await root.issueAuthority())),
      named('b', await partyOf(await root.issueAuthority())),
    ];
    const [aByB, bByA] = [issued(a, b), issued(b, a)];
    const leaf = issued({ certificate: await leafOf(root), key: trusted.key }, a);
    assert.ok(leaf.checkIssued(aByB) && aByB.checkIssued(bByA) && bByA.checkIssued(aByB), 'each leads to the next');
    const started = performance.now();
    assert.equal(verdict(leaf, [aByB, bByA]), 'no trusted authority has issued it');
    assert.ok(performance.now() - started < 1_000, `${performance.now() - started} ms`);
    assert.equal(verdict(leaf, [aByB, bByA, issued(b, trusted)]), undefined);
  });

  it('does not hold by a signature with SHA-1, on the leaf or in between', async () => {
    assert.equal(verdict(await leafOf(root, { digest: 'sha1' })), forgeable);
    const between = await root.issueAuthority();
    const sha1 = issued(await partyOf(between), trusted, undefined, 'sha1');
    assert.equal(verdict(await leafOf(between), [sha1]), `an authority in its chain: ${forgeable}`);
  });

  for (const [kind, words, expected] of [
    ['MD5', ['-md5'], forgeable],
    ['RSASSA-PSS with SHA-1', ['-sha1', '-sigopt', 'rsa_padding_mode:pss'], forgeable],
    ['RSASSA-PSS with SHA-256', ['-sha256', '-sigopt', 'rsa_padding_mode:pss'], undefined],
  ] as const) {
    it(`${expected === undefined ? 'holds' : 'does not hold'} for a leaf that is signed by ${kind}, though it is itself an authority that is trusted`, () => {
      const own = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=own', ...words];
      const certificate = new X509Certificate(execFileSync('openssl', own, { stdio: ['ignore', 'pipe', 'ignore'] }));
      assert.equal(verdict(certificate, [], [certificate]), expected);
    });
  }

  it('does not hold for keys that are too short, whatever their kind', async () => {
    for (const newKey of [
      ['rsa:1024'],
      ['rsa-pss', '-pkeyopt', 'rsa_keygen_bits:1024'],
      ['ec', '-pkeyopt', 'ec_paramgen_curve:prime192v1'],
    ])
      assert.equal(verdict(await leafOf(root, { newKey })), 'its key is too short', newKey[0]);
    for (const newKey of [['rsa:2048'], ['ec', '-pkeyopt', 'ec_paramgen_curve:secp521r1'], ['ed25519']])
      assert.equal(verdict(await leafOf(root, { newKey })), undefined, newKey[0]);
  });

  it('does not hold for a leaf that was changed after it was signed', async () => {
    const parsed = AsnConvert.parse((await leafOf(root)).raw, Certificate);
    const raw = Buffer.from(AsnConvert.serialize(parsed));
    const at = raw.indexOf('client.example');
    raw.write('evil!!.example', at);
    assert.equal(verdict(new X509Certificate(raw)), 'no trusted authority has issued it');
  });

  const unreadable = /not written as the standard/;
  for (const [claim, change] of [
    ['gives an extension twice', (all) => [...all, ...all.filter(({ extnID }) => extnID === keyUsage)]],
    ['gives one twice that says different things', (all) => [...all, extension(keyUsage, [0x03, 0x02, 0x05, 0xa0])]],
    ['has garbage for its key usage', (all) => [...without(all, keyUsage), extension(keyUsage, [0xff, 0xff])]],
    ['has a number for its key usage', (all) => [...without(all, keyUsage), extension(keyUsage, [0x02, 0x01, 0x05])]],
    ['has a text for its basic constraints', (all) => [...all, extension(basicConstraints, [0x0c, 0x01, 0x41])]],
  ] as const satisfies readonly (readonly [string, (all: readonly Extension[]) => Extension[]])[]) {
    it(`does not hold for a leaf that ${claim}, though it is signed`, async () => {
      const leaf = issued({ certificate: await leafOf(root), key: trusted.key }, trusted, (all) => change(all));
      assert.match(verdict(leaf) ?? 'none', unreadable);
      assert.equal(detailsOf(leaf), undefined);
    });
  }

  it('does not hold by way of an authority whose path length is below nothing, or beyond any number', async () => {
    const between = await partyOf(await root.issueAuthority());
    const leaf = issued({ certificate: await leafOf(root), key: trusted.key }, between);
    const limited = (length: readonly number[]) =>
      issued(between, trusted, (all) => [
        ...without(all, basicConstraints),
        extension(basicConstraints, [0x30, 3 + 2 + length.length, 0x01, 0x01, 0xff, 0x02, length.length, ...length], true),
      ]);
    assert.equal(verdict(leaf, [limited([0x00])]), undefined);
    assert.notEqual(verdict(leaf, [limited([0xff])]), undefined);
    // What is no limit for anybody is no obstacle either.
    assert.equal(verdict(leaf, [limited([0x00, ...Array<number>(9).fill(0xff)])]), undefined);
  });

  it('is read for all authorities that Node trusts, and their names are the ones that OpenSSL finds', () => {
    for (const pem of rootCertificates) {
      const certificate = new X509Certificate(pem);
      const listed = certificate.subjectAltName?.split(', ').filter((name) => name.startsWith('DNS:')) ?? [];
      const names = listed.map((name) => name.slice('DNS:'.length));
      assert.deepEqual(detailsOf(certificate)?.names, names, certificate.subject);
    }
  });

  it('is judged and never an error, whatever byte of a certificate that OpenSSL can read is another', async () => {
    const leaf = await leafOf(root, { alternatives: 'DNS:client.example,IP:192.0.2.1,URI:https://client.example/' });
    const { certificate: authority } = trusted;
    let read = 0;
    // 0x80: a length that is not said (BER).
    for (const value of [0x00, 0x80]) {
      for (const changed of changedBytes(leaf, value)) {
        read += 1;
        assert.doesNotThrow(() => verdict(changed));
      }
      for (const changed of changedBytes(authority, value)) assert.doesNotThrow(() => verdict(leaf, [changed], [changed]));
    }
    assert.ok(read > 200, `OpenSSL read only ${read}`);
  });

  it('takes any value but zero for critical, as OpenSSL does', async () => {
    const conditional = await leafOf(root, { extensions: ['1.2.3.4=critical,ASN1:NULL'] });
    const raw = Buffer.from(conditional.raw);
    const critical = raw.indexOf(Buffer.from('06032a03040101ff', 'hex')) + 7;
    raw[critical] = 0x01;
    assert.equal(verdict(new X509Certificate(raw)), 'it sets conditions that are not known here');
    raw[critical] = 0x00;
    assert.equal(verdict(new X509Certificate(raw)), 'no trusted authority has issued it');
  });
});

function without(all: readonly Extension[], id: string): Extension[] {
  return all.filter(({ extnID }) => extnID !== id);
}

function extension(extnID: string, der: readonly number[], critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(Uint8Array.from(der)) });
}

async function partyOf({ ca }: Authority): Promise<Party> {
  const key = createPrivateKey(await readFile(ca.replace(/\.pem$/, '.key')));
  return { certificate: new X509Certificate(await readFile(ca)), key };
}

/** The party under another name. Its certificate is only there to be issued anew. */
function named(name: string, { certificate, key }: Party): Party {
  const parsed = AsnConvert.parse(certificate.raw, Certificate);
  const value = new AttributeValue({ utf8String: name });
  parsed.tbsCertificate.subject = new Name([
    new RelativeDistinguishedName([new AttributeTypeAndValue({ type: '2.5.4.3', value })]),
  ]);
  return { certificate: new X509Certificate(Buffer.from(AsnConvert.serialize(parsed))), key };
}

/** The subject's certificate as another issuer has it, with other extensions where wanted. All keys that sign are elliptic curves. */
function issued(
  subject: Party,
  issuer: Party,
  change = (all: readonly Extension[]): Extension[] => [...all],
  digest: 'sha256' | 'sha1' = 'sha256',
): X509Certificate {
  const parsed = AsnConvert.parse(subject.certificate.raw, Certificate);
  const { tbsCertificate } = parsed;
  const algorithm = new AlgorithmIdentifier({ algorithm: digest === 'sha1' ? '1.2.840.10045.4.1' : '1.2.840.10045.4.3.2' });
  tbsCertificate.issuer = AsnConvert.parse(issuer.certificate.raw, Certificate).tbsCertificate.subject;
  tbsCertificate.signature = algorithm;
  // The key of the issuer that it had before.
  tbsCertificate.extensions = new Extensions(change(without(tbsCertificate.extensions ?? [], authorityKey)));
  const signatureValue = sign(digest, Buffer.from(AsnConvert.serialize(tbsCertificate)), issuer.key);
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: Uint8Array.from(signatureValue).buffer,
  });
  return new X509Certificate(Buffer.from(AsnConvert.serialize(certificate)));
}

/** The certificate with each of its bytes changed in turn, where OpenSSL still reads it. */
function* changedBytes({ raw }: X509Certificate, value: number): Generator<X509Certificate> {
  for (let at = 0; at < raw.length; at += 1) {
    const changed = Buffer.from(raw);
    changed[at] = value;
    const certificate = readable(changed);
    if (certificate !== undefined) yield certificate;
  }
}

/** Undefined where OpenSSL refuses it. */
function readable(raw: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(raw);
  } catch {
    return undefined;
  }
}
