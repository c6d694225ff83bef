import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { id_ce_nameConstraints, id_ce_policyConstraints, KeyUsageFlags, Version } from '@peculiar/asn1-x509';
import { distrustOf } from '../../src/http/certificate-chain.ts';
import {
  type CertificateParts,
  ellipticKeys,
  extensionOf as ext,
  type MadeCertificate,
  makeCertificate,
} from '../support/certificate-maker.ts';

/*
 * What x509-limbo asks of whoever follows a path, by the names that it has for its cases; its own certificates are for the names of servers, so these
 * are made anew, for clients.
 */

const now = new Date('2026-06-01');
const clientAuth = '1.3.6.1.5.5.7.3.2';
const serverAuth = '1.3.6.1.5.5.7.3.1';
const emailProtection = '1.3.6.1.5.5.7.3.4';
const anyPurpose = '2.5.29.37.0';
const signs = ext.usage(KeyUsageFlags.keyCertSign);
const signsNothing = ext.usage(KeyUsageFlags.cRLSign);
const unknown = ext.other('1.3.6.1.4.1.55738.666.1', '0500', true);
const past = { notBefore: new Date('2025-01-01'), notAfter: new Date('2026-01-01') };
const future = { notBefore: new Date('2026-12-01'), notAfter: new Date('2027-12-01') };

type Parts = Partial<CertificateParts>;
const rootOf = (parts: Parts = {}) => makeCertificate({ subject: 'root', extensions: [ext.authority(), signs], ...parts });
const authorityOf = (issuer: MadeCertificate, parts: Parts = {}) =>
  makeCertificate({ subject: 'authority', issuer, extensions: [ext.authority(), signs], ...parts });
const leafExtensions = [
  ext.noAuthority(),
  ext.usage(KeyUsageFlags.digitalSignature),
  ext.purposes([clientAuth]),
  ext.names('client.example'),
];
const leafOf = (issuer: MadeCertificate, parts: Parts = {}) =>
  makeCertificate({ subject: 'client', issuer, extensions: leafExtensions, ...parts });
const leafWith = (issuer: MadeCertificate, ...more: NonNullable<Parts['extensions']>) =>
  leafOf(issuer, { extensions: [...leafExtensions, ...more] });

interface Path {
  readonly leaf: MadeCertificate;
  readonly through?: readonly MadeCertificate[];
  readonly trusted: readonly MadeCertificate[];
}

/** Root and leaf, each with other parts than usual. */
function short(root: Parts, leaf: Parts = {}): Path {
  const trusted = rootOf(root);
  return { leaf: leafOf(trusted, leaf), trusted: [trusted] };
}

/** With an authority between the two. */
function long(authority: Parts, root: Parts = {}, leaf: Parts = {}): Path {
  const trusted = rootOf(root);
  const between = authorityOf(trusted, authority);
  return { leaf: leafOf(between, leaf), through: [between], trusted: [trusted] };
}

/** Authorities below each other, each with the length that it allows. */
function chain(...lengths: readonly (number | undefined)[]): Path {
  const trusted = rootOf({ extensions: [ext.authority(lengths[0]), signs] });
  const through: MadeCertificate[] = [];
  for (const [at, length] of lengths.slice(1).entries()) {
    const issuer = through.at(-1) ?? trusted;
    through.push(authorityOf(issuer, { subject: `authority ${at}`, extensions: [ext.authority(length), signs] }));
  }
  return { leaf: leafOf(through.at(-1) ?? trusted), through, trusted: [trusted] };
}

const rsa = (modulusLength: number) => ({ keys: generateKeyPairSync('rsa', { modulusLength }) });

/** To be taken. */
const valid: Readonly<Record<string, () => Path>> = {
  'root-to-leaf': () => short({}),
  'root-to-leaf-by-way-of-an-authority': () => long({}),
  'rfc5280::no-keyusage': () => short({}, { extensions: [ext.noAuthority(), ext.purposes([clientAuth])] }),
  'rfc5280::no-basicconstraints': () => short({}, { extensions: [ext.purposes([clientAuth])] }),
  'rfc5280::eku::ee-without-eku': () => short({}, { extensions: [ext.noAuthority()] }),
  'rfc5280::eku::ee-for-servers': () => short({}, { extensions: [ext.noAuthority(), ext.purposes([serverAuth])] }),
  'rfc5280::eku::root-has-eku': () => short({ extensions: [ext.authority(), signs, ext.purposes([clientAuth])] }),
  'rfc5280::ee-aia': () => {
    const trusted = rootOf();
    const aia = ext.other('1.3.6.1.5.5.7.1.1', '3018301606082b06010505073002860a687474703a2f2f612f62', false);
    return { leaf: leafWith(trusted, aia), trusted: [trusted] };
  },
  'rfc5280::aki::leaf-missing-aki': () => long({ extensions: [ext.authority(), signs, ext.ownKey('between')] }),
  'pathlen::intermediate-pathlen-may-increase': () => chain(undefined, 1, 5),
  'pathlen::validation-ignores-pathlen-in-leaf': () =>
    short(
      { extensions: [ext.authority(0), signs] },
      { extensions: [ext.authority(0), ext.usage(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign)] },
    ),
  'pathlen::max-chain-depth-0': () => chain(0),
  'pathlen::max-chain-depth-1': () => chain(1, 0),
  'pathological::multiple-chains-expired-intermediate': () => {
    const trusted = rootOf();
    const expired = authorityOf(trusted, past);
    const renewed = authorityOf(trusted, { keys: keysOf(expired) });
    return { leaf: leafOf(expired), through: [expired, renewed], trusted: [trusted] };
  },
  'webpki::rsa-2048': () => short(rsa(2048), rsa(2048)),
};

/** Not to be taken. */
const invalid: Readonly<Record<string, () => Path>> = {
  'rfc5280::ee-empty-issuer': () => {
    const trusted = rootOf();
    const nobody = { key: trusted.key, subject: makeCertificate({ subject: '' }).subject };
    return { leaf: makeCertificate({ subject: 'client', issuer: nobody, extensions: leafExtensions }), trusted: [trusted] };
  },
  'rfc5280::unknown-critical-extension-ee': () => short({}, { extensions: [...leafExtensions, unknown] }),
  'rfc5280::unknown-critical-extension-root': () => short({ extensions: [ext.authority(), signs, unknown] }),
  'rfc5280::unknown-critical-extension-intermediate': () => long({ extensions: [ext.authority(0), signs, unknown] }),
  'rfc5280::chain-untrusted-root': () => ({ ...long({}), trusted: [rootOf({ subject: 'unrelated' })] }),
  'rfc5280::root-of-the-same-name-is-untrusted': () => ({ ...long({}), trusted: [rootOf()] }),
  'rfc5280::intermediate-ca-without-ca-bit': () => long({ extensions: [ext.noAuthority(), signs] }),
  'rfc5280::intermediate-ca-missing-basic-constraints': () => long({ extensions: [signs] }),
  'rfc5280::intermediate-missing-entirely': () => ({ ...long({}), through: [] }),
  'rfc5280::root-missing-basic-constraints': () => short({ extensions: [signs] }),
  'rfc5280::root-inconsistent-ca-extensions': () => short({ extensions: [ext.authority(), signsNothing] }),
  'rfc5280::ica-ku-keycertsign': () => long({ extensions: [ext.authority(0), signsNothing] }),
  'rfc5280::ee-critical-aia-invalid': () => {
    const trusted = rootOf();
    const aia = ext.other('1.3.6.1.5.5.7.1.1', '3018301606082b06010505073002860a687474703a2f2f612f62', true);
    return { leaf: leafWith(trusted, aia), trusted: [trusted] };
  },
  'rfc5280::duplicate-extensions': () => short({}, { extensions: [...leafExtensions, ext.names('client.example')] }),
  'rfc5280::duplicate-extensions-intermediate': () => long({ extensions: [ext.authority(), ext.authority(), signs] }),
  'rfc5280::mismatching-signature-algorithm': () => short({}, { namedBeside: '1.2.840.10045.4.3.3' }),
  'rfc5280::aki::mismatching-aki': () => {
    const trusted = rootOf({ extensions: [ext.authority(), signs, ext.ownKey('own')] });
    return { leaf: leafWith(trusted, ext.issuerKey('another')), trusted: [trusted] };
  },
  'rfc5280::aki::critical-aki': () => {
    const trusted = rootOf({ extensions: [ext.authority(), signs, ext.ownKey('own')] });
    return { leaf: leafWith(trusted, ext.issuerKey('own', true)), trusted: [trusted] };
  },
  'rfc5280::ski::critical-ski': () => long({ extensions: [ext.authority(), signs, ext.ownKey('own', true)] }),
  'rfc5280::eku::ee-wrong-eku': () => short({}, { extensions: [ext.purposes([emailProtection])] }),
  'rfc5280::eku::intermediate-wrong-eku': () => long({ extensions: [ext.authority(), signs, ext.purposes([emailProtection])] }),
  'webpki::eku::ee-anyeku': () => short({}, { extensions: [ext.purposes([anyPurpose])] }),
  'rfc5280::ku::ee-signs-certificates-only': () => short({}, { extensions: [signs, ext.purposes([clientAuth])] }),
  'rfc5280::nc::permitted-dns-mismatch': () => long({ extensions: [ext.authority(), signs, limits('example.org')] }),
  'rfc5280::nc::not-critical': () => long({ extensions: [ext.authority(), signs, limits('example.org', false)] }),
  'rfc5280::nc::root-limits-names': () => short({ extensions: [ext.authority(), signs, limits('example.org')] }),
  'rfc5280::pc::ica-critical-pc': () =>
    long({ extensions: [ext.authority(), signs, ext.other(id_ce_policyConstraints, '3003800100', true)] }),
  'rfc5280::validity::expired-root': () => short(past),
  'rfc5280::validity::expired-intermediate': () => long(past),
  'rfc5280::validity::expired-leaf': () => short({}, past),
  'rfc5280::validity::not-yet-valid-root': () => short(future),
  'rfc5280::validity::not-yet-valid-intermediate': () => long(future),
  'rfc5280::validity::not-yet-valid-leaf': () => short({}, future),
  'rfc5280::validity::ends-before-it-begins': () => short({}, { notBefore: past.notAfter, notAfter: past.notBefore }),
  'pathlen::intermediate-violates-pathlen-0': () => chain(0, undefined),
  'pathlen::root-pathlen-1-of-two': () => chain(1, undefined, undefined),
  'pathlen::intermediate-pathlen-0-of-one': () => chain(undefined, 0, undefined),
  'pathological::intermediate-cycle-distinct-cas': () => {
    const [one, two] = [rootOf({ subject: 'one' }), rootOf({ subject: 'two' })];
    const [oneByTwo, twoByOne] = [
      authorityOf(two, { subject: 'one', keys: keysOf(one) }),
      authorityOf(one, { subject: 'two', keys: keysOf(two) }),
    ];
    return { leaf: leafOf(one), through: [oneByTwo, twoByOne], trusted: [rootOf()] };
  },
  'webpki::forbidden-rsa-1024-leaf': () => short({}, rsa(1024)),
  'webpki::forbidden-rsa-1024-intermediate': () => long(rsa(1024)),
  'webpki::forbidden-p192': () => short({}, { keys: ellipticKeys('prime192v1') }),
  'webpki::explicit-curve': () => short({}, { keys: ellipticKeys('prime256v1', 'explicit') }),
  'webpki::explicit-curve-intermediate': () => long({ keys: ellipticKeys('prime256v1', 'explicit') }),
  'webpki::v1-intermediate': () => long({ version: Version.v1, extensions: [] }),
  'webpki::v1-root': () => short({ version: Version.v1, extensions: [] }),
  'invalid::bad-signature': () => {
    const path = short({});
    const raw = Buffer.from(path.leaf.certificate.raw);
    raw[raw.length - 1] = (raw.at(-1) ?? 0) ^ 1;
    return { ...path, leaf: { ...path.leaf, certificate: new X509Certificate(raw) } };
  },
  'invalid::signed-by-the-leaf-itself': () => ({
    ...short({}),
    leaf: makeCertificate({ subject: 'client', extensions: leafExtensions }),
  }),
  'invalid::signed-by-another-leaf': () => {
    const path = short({});
    return { ...path, leaf: leafOf(path.leaf), through: [path.leaf] };
  },
};

/** Against the profile, without harm to who it was issued to and by: taken here, as by OpenSSL unless it is told to be strict. */
const tolerated: Readonly<Record<string, () => Path>> = {
  'rfc5280::root-non-critical-basic-constraints': () => short({ extensions: [ext.authority(undefined, false), signs] }),
  'rfc5280::leaf-ku-keycertsign': () =>
    short({}, { extensions: [ext.noAuthority(), ext.usage(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign)] }),
  'rfc5280::ski::root-missing-ski': () => short({}),
  'rfc5280::aki::intermediate-missing-aki': () => long({}),
  'rfc5280::serial::zero': () => short({}, { serial: '00' }),
  'rfc5280::serial::too-long': () => short({}, { serial: `01${'00'.repeat(21)}` }),
  'rfc5280::san::critical-with-nonempty-subject': () => short({}, { extensions: [ext.names('client.example', true)] }),
  'webpki::eku::ee-critical-eku': () => short({}, { extensions: [ext.purposes([clientAuth], true)] }),
  'webpki::ca-as-leaf': () =>
    short({}, { extensions: [ext.authority(), ext.usage(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign)] }),
  'webpki::v1-cert': () => short({}, { version: Version.v1, extensions: [] }),
};

function limits(dnsName: string, critical = true) {
  const name = Buffer.from(dnsName).toString('hex');
  const byte = (value: number) => value.toString(16).padStart(2, '0');
  const { length } = dnsName;
  return ext.other(
    id_ce_nameConstraints,
    `30${byte(length + 6)}a0${byte(length + 4)}30${byte(length + 2)}82${byte(length)}${name}`,
    critical,
  );
}

function keysOf({ certificate, key }: MadeCertificate) {
  return { publicKey: certificate.publicKey, privateKey: key };
}

describe('the cases of x509-limbo, for clients', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'landfall-limbo-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const distrust = ({ leaf, through = [], trusted }: Path) =>
    distrustOf(
      leaf.certificate,
      through.map(({ certificate }) => certificate),
      trusted.map(({ certificate }) => certificate),
      now,
    );

  /** OpenSSL's verdict, for clients or for servers, at its own level of security for handshakes. */
  function openssl({ leaf, through = [], trusted }: Path): string | undefined {
    const file = (name: string, all: readonly MadeCertificate[]) => {
      const path = join(folder, name);
      writeFileSync(path, all.map(({ certificate }) => certificate.toString()).join(''));
      return path;
    };
    const untrusted = through.length === 0 ? [] : ['-untrusted', file('through.pem', through)];
    const files = ['-CAfile', file('trusted.pem', trusted), '-no-CApath', ...untrusted, file('leaf.pem', [leaf])];
    const words = ['-partial_chain', '-auth_level', '2', '-attime', String(now.getTime() / 1_000), ...files];
    const said = ['sslclient', 'sslserver'].map((purpose) => {
      try {
        execFileSync('openssl', ['verify', '-purpose', purpose, ...words], { stdio: 'pipe' });
        return undefined;
      } catch (error) {
        return String(error);
      }
    });
    return said.includes(undefined) ? undefined : said[0];
  }

  for (const [name, path] of Object.entries({ ...valid, ...tolerated })) {
    it(`${name}: is taken, as by OpenSSL`, () => {
      const made = path();
      assert.equal(distrust(made), undefined);
      assert.equal(openssl(made), undefined);
    });
  }
  for (const [name, path] of Object.entries(invalid)) {
    it(`${name}: is not taken`, () => assert.notEqual(distrust(path()), undefined));
  }

  it('bettertls::pathbuilding: is taken by the second of two authorities of one name, where OpenSSL follows the first alone', () => {
    const [other, trusted] = [rootOf({ subject: 'other' }), rootOf()];
    const byOther = authorityOf(other);
    const byTrusted = authorityOf(trusted, { keys: keysOf(byOther) });
    assert.equal(distrust({ leaf: leafOf(byOther), through: [byOther, byTrusted], trusted: [trusted] }), undefined);
  });

  it('rfc5280::pathlen::self-issued-certs: is not taken, though it may be: authorities of one name count, too', () => {
    const trusted = rootOf({ extensions: [ext.authority(0), signs] });
    const renewed = makeCertificate({ subject: 'root', issuer: trusted, extensions: [ext.authority(0), signs] });
    assert.match(distrust({ leaf: leafOf(renewed), through: [renewed], trusted: [trusted] }) ?? '', /longer than an authority/);
  });
});
