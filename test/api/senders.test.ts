import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { createSenders, type SenderSettings } from '../../src/api/webhooks/senders.ts';
import type { ClientCertificate } from '../../src/http/authentication.ts';
import { createClientTrust } from '../../src/http/client-trust.ts';
import { networkOfOneSender } from '../../src/http/networks.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { quaySource } from '../../src/sources/quay/index.ts';
import { type Authority, alikeTo, createAuthority, type Issued, selfSigned } from '../support/certificates.ts';
import { contextOf } from './support/receivers.ts';

type Headers = Record<string, string | string[]>;

/** Requests over a real connection, as Node makes them of what is sent. */
let server: Server;
let port: number;
let take: (request: IncomingMessage) => void = () => {};
before(async () => {
  server = createServer((message, response) => {
    take(message);
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
after(() => server.close());

async function received<Answer>(headers: Headers, ask: (message: IncomingMessage) => Answer): Promise<Answer> {
  const asked = new Promise<Answer>((resolve) => {
    take = (message) => resolve(ask(message));
  });
  const sent = request({ port, host: '127.0.0.1', headers, agent: false }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  answer.resume();
  return await asked;
}

const behind =
  (...trustedProxies: string[]) =>
  async (headers: Headers) =>
    received(headers, (await createSenders({ trustedProxies })).addressOf);

describe('the address of a sender', () => {
  it('is that of the connection where no proxy is trusted, whatever the headers say', async () => {
    const address = behind('10.0.0.0/8');
    assert.equal(await address({ 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for=192.0.2.2' }), '127.0.0.1');
  });

  for (const [said, address, what] of [
    ['192.0.2.1', '192.0.2.1', 'the only one'],
    ['198.51.100.7, 192.0.2.1', '192.0.2.1', 'the last one: what is before it may be made up'],
    ['198.51.100.7, 192.0.2.1, 10.1.2.3, 10.4.5.6', '192.0.2.1', 'the last one that is no proxy'],
    ['10.1.2.3, 10.4.5.6', '10.1.2.3', 'the outermost proxy where there is nothing else'],
    ['192.0.2.1:4711', '192.0.2.1', 'without its port'],
    ['[2001:DB8:0::1]:4711', '2001:db8::1', 'IPv6 with a port'],
    ['2001:db8:0:0::1', '2001:db8::1', 'IPv6 in its shortest form'],
    ['::ffff:192.0.2.1', '192.0.2.1', 'IPv4 inside IPv6'],
    ['::FFFF:c000:201', '192.0.2.1', 'IPv4 inside IPv6 in hex'],
    ['192.0.2.1, ::ffff:10.1.2.3', '192.0.2.1', 'past a proxy that is written as IPv6'],
    ['  192.0.2.1  ', '192.0.2.1', 'without blanks'],
    ['unknown', '127.0.0.1', 'the connection where it is not known'],
    ['192.0.2.1, unknown', '127.0.0.1', 'the connection where the last is not known'],
    ['192.0.2.1, ', '127.0.0.1', 'the connection where the last is missing'],
    ['192.0.2.1<script>', '127.0.0.1', 'the connection where it is garbage'],
    ['192.0.2.256', '127.0.0.1', 'the connection where it is nearly one'],
    ['fe80::1%eth0', '127.0.0.1', 'the connection where it has a zone'],
    ['192.0.2.1:x', '127.0.0.1', 'the connection where its port is none'],
    ['1,'.repeat(5_000), '127.0.0.1', 'the connection where it is a flood'],
    ['', '127.0.0.1', 'the connection where it is empty'],
  ] as const) {
    it(`of X-Forwarded-For '${said.slice(0, 50)}' is ${what}`, async () => {
      assert.equal(await behind('127.0.0.1', '10.0.0.0/8')({ 'X-Forwarded-For': said }), address);
    });
  }

  it('is taken from several lines of the header as from one', async () => {
    assert.equal(await behind('127.0.0.0/8')({ 'X-Forwarded-For': ['198.51.100.7', '192.0.2.1'] }), '192.0.2.1');
  });

  for (const [said, address] of [
    ['for=192.0.2.1;proto=https;by=203.0.113.43', '192.0.2.1'],
    ['for=198.51.100.7, For="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['for=192.0.2.1, for=10.1.2.3;host="a,b;for=9.9.9.9"', '192.0.2.1'],
    ['for="192.0.2.1:80"', '192.0.2.1'],
    ['for=_hidden', '127.0.0.1'],
    ['for=192.0.2.1;for=198.51.100.7', '127.0.0.1'],
    ['proto=https', '127.0.0.1'],
    ['for="192.0.2.1', '127.0.0.1'],
  ] as const) {
    it(`of Forwarded '${said}' is ${address}`, async () => {
      assert.equal(await behind('127.0.0.1', '10.0.0.0/8')({ Forwarded: said }), address);
    });
  }

  describe('whose request has both headers', () => {
    const both = { 'X-Forwarded-For': '198.51.100.7, 192.0.2.1', Forwarded: 'for=203.0.113.9' };
    for (const [addressHeader, expected] of [
      ['x-forwarded-for', '192.0.2.1'],
      ['forwarded', '203.0.113.9'],
      // A proxy sets one of them, and passes on what the sender has made up in the other.
      [undefined, '127.0.0.1'],
    ] as const) {
      it(`is that of ${addressHeader ?? 'the connection where nobody says which counts'}`, async () => {
        const { addressOf } = await createSenders({ trustedProxies: ['127.0.0.1'], addressHeader });
        assert.equal(await received(both, addressOf), expected);
        assert.equal(await received({ 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for="192.0.2.1:80"' }, addressOf), '192.0.2.1');
      });
    }

    it('is not that of the header which does not count, where that is all there is', async () => {
      const { addressOf } = await createSenders({ trustedProxies: ['127.0.0.1'], addressHeader: 'forwarded' });
      assert.equal(await received({ 'X-Forwarded-For': '192.0.2.1' }, addressOf), '127.0.0.1');
    });
  });

  it('counts as one with its /64 where it is IPv6', () => {
    assert.equal(networkOfOneSender('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
    assert.equal(networkOfOneSender('2001:db8::6'), '2001:db8:0:0');
    assert.equal(networkOfOneSender('::1'), '0:0:0:0');
    assert.equal(networkOfOneSender('2001:db8:1:2::'), '2001:db8:1:2');
    assert.equal(networkOfOneSender('64:ff9b::192.0.2.1'), '64:ff9b:0:0');
    assert.equal(networkOfOneSender('192.0.2.1'), '192.0.2.1');
  });
});

describe('a client certificate that a proxy passes on', () => {
  const client = { alternatives: 'DNS:*.quay.io,DNS:quay.io', extensions: ['extendedKeyUsage=clientAuth'] };
  let authority: Authority;
  let good: Issued;
  let receivers: readonly Receiver[];
  before(async () => {
    authority = await createAuthority();
    good = await authority.issue(client);
    receivers = quaySource.open({ quay: { certificate: { ca: authority.ca } } }, contextOf({}));
  });
  after(() => rm(authority.folder, { recursive: true }));

  const shown = async (headers: Headers, settings: Partial<SenderSettings> = {}): Promise<ClientCertificate | undefined> => {
    const trust = createClientTrust(receivers, pino({ enabled: false }));
    const senders = await createSenders({ trustedProxies: ['127.0.0.1'], trust, ...settings });
    return received(headers, senders.certificateOf);
  };
  /** As RFC 9440 has it. */
  const bytes = (pem: string): string => `:${der(pem)}:`;
  const distrustOf = async (leaf: string, chain: readonly string[] = [], now?: Date): Promise<string | undefined> => {
    const certificate = await shown(
      { 'Client-Cert': bytes(leaf), ...(chain.length > 0 && { 'Client-Cert-Chain': chain.map(bytes) }) },
      now === undefined ? {} : { now: () => now },
    );
    assert.ok(certificate !== undefined);
    return certificate.distrust;
  };

  const names = ['*.quay.io', 'quay.io'];
  for (const [what, headerOf] of [
    ['Client-Cert (RFC 9440)', (pem: string) => ({ 'Client-Cert': bytes(pem) })],
    ['X-SSL-Client-Cert of nginx', (pem: string) => ({ 'X-SSL-Client-Cert': encodeURIComponent(pem) })],
    ['ssl-client-cert of ingress-nginx', (pem: string) => ({ 'ssl-client-cert': encodeURIComponent(pem) })],
    ['X-SSL-Client-Cert of Apache', (pem: string) => ({ 'X-SSL-Client-Cert': pem.trim().replaceAll('\n', ' ') })],
    ['X-SSL-Client-Cert of HAProxy', (pem: string) => ({ 'X-SSL-Client-Cert': der(pem) })],
    ["Traefik's, as it is", (pem: string) => ({ 'X-Forwarded-Tls-Client-Cert': der(pem) })],
    ["Traefik's, URL-encoded", (pem: string) => ({ 'X-Forwarded-Tls-Client-Cert': encodeURIComponent(der(pem)) })],
  ] as const) {
    it(`is read from ${what}, and from an untrusted address counts for nothing`, async () => {
      assert.deepEqual(await shown(headerOf(good.cert)), { names });
      assert.equal(await shown(headerOf(good.cert), { trustedProxies: ['10.0.0.1'] }), undefined);
      assert.deepEqual(await shown(headerOf((await selfSigned(authority.folder, '*.quay.io')).cert)), {
        names: ['*.quay.io'],
        distrust: 'it is self-signed',
      });
    });
  }

  it('is none where nothing is passed on, an empty value included, and where nobody asks for one', async () => {
    assert.equal(await shown({}), undefined);
    assert.equal(await shown({ 'X-SSL-Client-Cert': '' }), undefined);
    assert.equal(await shown({ 'Client-Cert': bytes(good.cert) }, { trust: undefined }), undefined);
  });

  it('is not trusted where it comes twice, so that nobody can add one to what the proxy says', async () => {
    const other = encodeURIComponent((await selfSigned(authority.folder, 'x.example')).cert);
    for (const headers of [
      { 'X-SSL-Client-Cert': [encodeURIComponent(good.cert), other] },
      { 'X-SSL-Client-Cert': other, 'Client-Cert': bytes(good.cert) },
    ]) {
      assert.deepEqual(await shown(headers), { names: [], distrust: 'the proxy passed more than one on' });
    }
  });

  it('is read only from the header that the proxy sets itself, where that is said', async () => {
    const certificateHeaders = ['x-ssl-client-cert'] as const;
    assert.equal(await shown({ 'Client-Cert': bytes(good.cert) }, { certificateHeaders }), undefined);
    assert.deepEqual(await shown({ 'X-SSL-Client-Cert': encodeURIComponent(good.cert) }, { certificateHeaders }), { names });
  });

  it('is not trusted where it is none', async () => {
    const whole = der(good.cert);
    for (const [header, value] of [
      ['Client-Cert', whole],
      ['Client-Cert', ':!:'],
      ['Client-Cert', `:${whole.slice(0, 100)}:`],
      ['Client-Cert', `${bytes(good.cert)}, ${bytes(good.cert)}`],
      ['X-SSL-Client-Cert', '%'],
      ['X-SSL-Client-Cert', '%00%ff'],
      ['X-SSL-Client-Cert', ','],
      ['X-SSL-Client-Cert', 'NONE'],
      ['X-SSL-Client-Cert', `${whole}, <script>`],
      ['X-Forwarded-Tls-Client-Cert', `${whole},AAAA`],
    ] as const) {
      const certificate = await shown({ [header]: value });
      assert.deepEqual(certificate?.names, [], value);
      assert.equal(certificate.distrust, `what the proxy passed on in ${header.toLowerCase()} is no certificate`, value);
    }
    const broken = await shown({ 'Client-Cert': bytes(good.cert), 'Client-Cert-Chain': 'garbage' });
    assert.match(broken?.distrust ?? '', /is no certificate/);
  });

  it('is trusted by way of the intermediates that come with it, in any order, and not without them', async () => {
    const first = await authority.issueAuthority();
    const second = await first.issueAuthority();
    const { cert } = await second.issue(client);
    const chain = await Promise.all([first, second].map(({ ca }) => readFile(ca, 'utf8')));
    assert.equal(await distrustOf(cert, chain), undefined);
    assert.equal(await distrustOf(cert, chain.toReversed()), undefined);
    assert.equal(await distrustOf(cert, chain.slice(0, 1)), 'no trusted authority has issued it');
    assert.equal(await distrustOf(cert), 'no trusted authority has issued it');
    const traefik = await shown({ 'X-Forwarded-Tls-Client-Cert': [cert, ...chain].map(der).join(',') });
    assert.equal(traefik?.distrust, undefined);
  });

  it('is not trusted when it or an authority has expired, is not valid yet, or is not for clients', async () => {
    assert.equal(await distrustOf((await authority.issue({ ...client, expired: true })).cert), 'it has expired');
    const day = 86_400_000;
    assert.equal(await distrustOf(good.cert, [], new Date(Date.now() - day)), 'it is not valid yet');
    const former = await authority.issueAuthority(undefined, { expired: true });
    const { cert } = await former.issue(client);
    assert.equal(await distrustOf(cert, [await readFile(former.ca, 'utf8')]), 'an authority in its chain: it has expired');
    const serverOnly = await authority.issue({ ...client, extensions: ['extendedKeyUsage=serverAuth'] });
    assert.equal(await distrustOf(serverOnly.cert), undefined);
    const mail = await authority.issue({ ...client, extensions: ['extendedKeyUsage=emailProtection,codeSigning'] });
    assert.match((await distrustOf(mail.cert)) ?? '', /neither for clients nor for servers/);
    const enciphering = await authority.issue({ ...client, extensions: ['keyUsage=keyEncipherment'] });
    assert.match((await distrustOf(enciphering.cert)) ?? '', /issued neither for clients/);
    const signing = await authority.issue({ ...client, extensions: ['keyUsage=digitalSignature'] });
    assert.equal(await distrustOf(signing.cert), undefined);
    const agreeing = await authority.issue({ ...client, extensions: ['keyUsage=keyAgreement'] });
    assert.equal(await distrustOf(agreeing.cert), undefined);
  });

  it('is not trusted when its issuer is no authority, whatever it has signed', async () => {
    const pretender = await authority.issueAuthority(['basicConstraints=critical,CA:false']);
    const { cert } = await pretender.issue(client);
    assert.equal(await distrustOf(cert, [await readFile(pretender.ca, 'utf8')]), 'its issuer is no authority');
    const noSigner = await authority.issueAuthority(['basicConstraints=critical,CA:true', 'keyUsage=critical,cRLSign']);
    const second = await noSigner.issue(client);
    assert.notEqual(await distrustOf(second.cert, [await readFile(noSigner.ca, 'utf8')]), undefined);
  });

  it('is not trusted when its chain is longer than an authority allows, or an authority limits names or purposes', async () => {
    const short = await authority.issueAuthority(['basicConstraints=critical,CA:true,pathlen:0', 'keyUsage=keyCertSign']);
    const tooMany = await short.issueAuthority();
    const { cert } = await tooMany.issue(client);
    const chain = [await readFile(tooMany.ca, 'utf8'), await readFile(short.ca, 'utf8')];
    assert.equal(await distrustOf(cert, chain), 'its chain is longer than an authority in it allows');
    assert.equal(await distrustOf((await short.issue(client)).cert, chain.slice(1)), undefined);
    for (const [extension, reason] of [
      ['nameConstraints=critical,permitted;DNS:example.org', /conditions that are not known here/],
      ['nameConstraints=permitted;DNS:example.org', /conditions that are not known here/],
      ['extendedKeyUsage=codeSigning', /is neither for clients nor for servers/],
    ] as const) {
      const limited = await authority.issueAuthority(['basicConstraints=critical,CA:true', 'keyUsage=keyCertSign', extension]);
      assert.match((await distrustOf((await limited.issue(client)).cert, [await readFile(limited.ca, 'utf8')])) ?? '', reason);
    }
  });

  it('is not trusted with a short key, a signature that can be forged, or critical conditions that are not known', async () => {
    const short = await authority.issue({ ...client, newKey: ['rsa:1024'] });
    assert.equal(await distrustOf(short.cert), 'its key is too short');
    const forgeable = await authority.issue({ ...client, digest: 'sha1' });
    assert.equal(await distrustOf(forgeable.cert), 'its signature is of a kind that can be forged');
    const critical = await authority.issue({ ...client, extensions: ['1.2.3.4=critical,ASN1:NULL'] });
    assert.equal(await distrustOf(critical.cert), 'it sets conditions that are not known here');
    const harmless = await authority.issue({ ...client, extensions: ['1.2.3.4=ASN1:NULL'] });
    assert.equal(await distrustOf(harmless.cert), undefined);
  });

  it('is not trusted when another authority of the same name has issued it, however many certificates that has for itself', async () => {
    const namesake = await createAuthority();
    const { cert } = await namesake.issue(client);
    assert.equal(await distrustOf(cert, [await readFile(namesake.ca, 'utf8')]), 'no trusted authority has issued it');
    const entangled = await alikeTo(namesake, 8);
    assert.equal(await distrustOf(cert, entangled), 'no trusted authority has issued it');
    assert.equal(await distrustOf(cert, [...entangled, ...entangled]), 'no trusted authority has issued it');
    await rm(namesake.folder, { recursive: true });
  });

  it('has the names of its certificate and nothing that only looks like one', async () => {
    const tricky = await authority.issue({ commonName: 'a.example, DNS:b.example', extensions: [] });
    const certificate = await shown({ 'Client-Cert': bytes(tricky.cert) });
    assert.deepEqual(certificate, { names: ['localhost'] });
    const hidden = await authority.issue({
      alternatives: '@names',
      extensions: [
        '[names]',
        'DNS.1=c.example',
        'URI.1=https://d.example/?x=, DNS:*.quay.io',
        'DNS.2=e.example',
        'otherName.1=1.2.3.4;UTF8:DNS:*.quay.io',
      ],
    });
    assert.deepEqual((await shown({ 'Client-Cert': bytes(hidden.cert) }))?.names, ['c.example', 'e.example']);
  });
});

function der(pem: string): string {
  return pem.replace(/-----[A-Z ]+-----/g, '').replace(/\s+/g, '');
}
