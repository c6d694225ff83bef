import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { quaySource } from '../../src/sources/quay/index.ts';
import { type Ingress, type IngressOptions, startIngress } from '../api/support/ingress.ts';
import { contextOf } from '../api/support/receivers.ts';
import { type Authority, createAuthority, type Issued, selfSigned } from '../support/certificates.ts';
import { eventually } from '../support/wait.ts';

const quayBuild = JSON.stringify({
  build_id: '296ec063-5f86-4706-a469-f0a400bf9df2',
  docker_url: 'quay.io/team/app',
  docker_tags: ['latest'],
  trigger_metadata: { commit: 'b7f7d2b948aacbe844ee465122a85a9368b2b735' },
});

let authority: Authority;
let server: Issued;
before(async () => {
  authority = await createAuthority();
  server = await authority.issue();
});
after(() => rm(authority.folder, { recursive: true }));

describe('the webhook listener with TLS', () => {
  let files: { cert: string; key: string };
  beforeEach(async () => {
    files = await written('pair', server);
  });

  it('answers over TLS 1.2 and 1.3, and not over what is older', async () => {
    await withIngress({ tls: { files } }, async ({ port }) => {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        assert.equal((await ask(port, { maxVersion })).statusCode, 200, maxVersion);
      }
      await assert.rejects(
        ask(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
        /protocol|EPROTO|reset/i,
      );
    });
  });

  it('has room for others while one address keeps connections without a handshake', async () => {
    await withIngress({ tls: { files }, limits: { connections: 16 } }, async ({ port, written: all }) => {
      const silent = Array.from({ length: 40 }, () => connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }));
      for (const socket of silent) socket.on('error', () => undefined).resume();
      const isOpen = ({ destroyed }: (typeof silent)[number]) => !destroyed;
      await eventually('those above the share to be reset', async () => silent.filter(isOpen).length === 6);
      assert.equal((await ask(port)).statusCode, 200);
      assert.match(all(), /"address":"127\.0\.0\.2".*too many connections of one network/);
      for (const socket of silent) socket.destroy();
    });
  });

  it('keeps the operators on plain HTTP', async () => {
    await withIngress({ tls: { files } }, async ({ port, operatorsUrl }) => {
      assert.equal((await fetch(`${operatorsUrl}/healthz`)).status, 200);
      assert.equal((await ask(port)).statusCode, 200);
    });
  });

  it('uses the replaced certificate in the next handshake, whichever way it is replaced', async () => {
    await withIngress({ tls: { files, lookEveryMs: 20 } }, async ({ port }) => {
      const before = await serialOf(port);
      const inPlace = await authority.issue();
      await writeFile(files.cert, inPlace.cert);
      await writeFile(files.key, inPlace.key);
      const second = await changed(port, before);
      const renamed = await authority.issue();
      await writeFile(`${files.cert}.new`, renamed.cert);
      await writeFile(`${files.key}.new`, renamed.key);
      await rename(`${files.key}.new`, files.key);
      await rename(`${files.cert}.new`, files.cert);
      await changed(port, second);
    });
  });

  it('follows links that are swapped, as Kubernetes does it', async () => {
    const folder = join(authority.folder, 'mounted');
    await mkdir(join(folder, '..first'), { recursive: true });
    await mkdir(join(folder, '..second'));
    const next = await authority.issue();
    for (const [name, pair] of [
      ['..first', server],
      ['..second', next],
    ] as const) {
      await writeFile(join(folder, name, 'tls.crt'), pair.cert);
      await writeFile(join(folder, name, 'tls.key'), pair.key);
    }
    await symlink('..first', join(folder, '..data'));
    for (const file of ['tls.crt', 'tls.key']) await symlink(join('..data', file), join(folder, file));
    await writeFile(join(folder, 'ca.crt'), await readFile(authority.ca));
    await withIngress({ tls: { files: { folder }, lookEveryMs: 20 } }, async ({ port }) => {
      const before = await serialOf(port);
      await symlink('..second', join(folder, '..data_tmp'));
      await rename(join(folder, '..data_tmp'), join(folder, '..data'));
      await changed(port, before);
    });
  });

  it('keeps the old pair while the new one is half-written, damaged or gone, and says why once', async () => {
    await withIngress({ tls: { files, lookEveryMs: 10 } }, async ({ port, written: all }) => {
      const before = await serialOf(port);
      const next = await authority.issue();
      const states: (readonly [() => Promise<void>, RegExp])[] = [
        [() => put(files.cert, next.cert), /expected the private key of the certificate, found another one/],
        [() => put(files.cert, next.cert.slice(0, 200)), /expected a certificate in PEM, found none/],
        [() => put(files.cert, next.cert.replace(/\n[^\n]{40}/, `\n${'x'.repeat(40)}`)), /one that is damaged|cannot use/],
        [() => put(files.key, ''), /./],
        [() => rm(files.cert), /cannot read .*ENOENT/],
      ];
      for (const [change, reason] of states) {
        const heard = all().length;
        await change();
        await eventually(`a complaint like ${reason}`, async () => reason.test(all().slice(heard)));
        assert.equal(await serialOf(port), before);
      }
      const heard = all().length;
      await rm(files.key);
      await eventually('another complaint', async () => all().length > heard);
      assert.equal(all().match(/certificate \(PEM\), cannot read/g)?.length, 1);
      assert.ok(!all().includes('PRIVATE KEY'));
      await put(files.cert, next.cert);
      await put(files.key, next.key);
      await changed(port, before);
    });
  });

  it('does not start without a usable pair, and names the setting and what to do', async () => {
    const other = await authority.issue();
    const folder = join(authority.folder, 'several');
    await mkdir(folder);
    const refusals: (readonly [TlsFiles, RegExp])[] = [
      [{ cert: join(folder, 'none.pem'), key: files.key }, /^Error: listen\.tls: .*none\.pem \(ENOENT\); check the path/],
      [await written('mixed', { cert: server.cert, key: other.key }), /^Error: listen\.tls: expected the private key/],
      [await written('swapped', { cert: server.key, key: server.cert }), /^Error: listen\.tls: expected a certificate in PEM/],
      [
        await written('keyless', { cert: server.cert, key: server.cert }),
        /^Error: listen\.tls: expected a private key in PEM that needs no passphrase/,
      ],
      [{ folder }, /^Error: listen\.tls: expected exactly one certificate .* found neither/],
      [{ folder: join(folder, 'none') }, /^Error: listen\.tls: expected a folder .*ENOENT/],
    ];
    for (const [wrong, message] of refusals) await assert.rejects(startIngress({ tls: { files: wrong } }), message);
    for (const name of ['cert.pem', 'chain.pem', 'one.key']) await writeFile(join(folder, name), server.cert);
    await assert.rejects(
      startIngress({ tls: { files: { folder } } }),
      /found (?=.*cert\.pem)(?=.*chain\.pem)(?=.*one\.key).*\{cert, key\}$/,
    );
  });

  it('cuts off whoever does not finish the handshake, and is not kept from stopping by one', async () => {
    await withIngress({ tls: { files }, limits: { headersTimeoutMs: 200 } }, async ({ port }) => {
      await closing(connect(port, '127.0.0.1'));
    });
    const ingress = await startIngress({ tls: { files }, limits: { graceMs: 60_000 } });
    const silent = connect(ingress.port, '127.0.0.1');
    await once(silent, 'connect');
    // Another connection is served after it, so the server has seen the first.
    await ask(ingress.port);
    const ended = closing(silent);
    await ingress.listeners.stop();
    await ended;
  });

  it('limits slow headers and bodies as without TLS', async () => {
    await withIngress({ tls: { files }, limits: { headersTimeoutMs: 300 } }, async ({ port }) => {
      assert.match(await say(port, 'POST / HTTP/1.1\r\nHost: x\r\n'), /^HTTP\/1\.1 408 .*problem\+json/s);
    });
    const receivers = { distribution: { token: ['env:DISTRIBUTION_TOKEN'] } };
    await withIngress({ tls: { files }, receivers, bodyLimits: { bytes: 1024, timeoutMs: 200 } }, async ({ port }) => {
      const head = 'POST /webhook/distribution HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
      const proof = 'Authorization: Bearer canary-token-e2d41b\r\n';
      assert.match(await say(port, `${head}${proof}Content-Length: 10\r\n\r\n{`), /^HTTP\/1\.1 408 .*within 0\.2 s/s);
    });
  });

  it('closes what speaks no TLS, and goes on', async () => {
    await withIngress({ tls: { files } }, async ({ port, written: all }) => {
      const socket = connect(port, '127.0.0.1');
      socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
      await closing(socket);
      assert.match(all(), /ERR_SSL_HTTP_REQUEST/);
      assert.equal((await ask(port)).statusCode, 200);
    });
  });
});

describe('a Quay build over mutual TLS', () => {
  const client = { name: '*.quay.io', extensions: ['extendedKeyUsage=clientAuth,serverAuth'] };
  let options: IngressOptions;
  before(async () => {
    options = {
      tls: { files: await written('mutual', server), lookEveryMs: 20 },
      ownReceivers: quayTrusting(authority.ca),
    };
  });

  const post = async ({ port }: Ingress, shown: Partial<Issued>, tls: RequestOptions = {}): Promise<IncomingMessage> =>
    await ask(
      port,
      { path: '/incoming', method: 'POST', headers: { 'Content-Type': 'application/json' }, ...shown, ...tls },
      quayBuild,
    );

  const expectRefused = async (ingress: Ingress, shown: Partial<Issued>, reason: RegExp): Promise<void> => {
    const heard = ingress.written().length;
    assert.equal((await post(ingress, shown)).statusCode, 401);
    assert.match(ingress.written().slice(heard), reason);
  };

  it('is taken with a certificate of the right authority and name, by TLS 1.2 and 1.3', async () => {
    await withIngress(options, async (ingress) => {
      const shown = await authority.issue(client);
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        assert.equal((await post(ingress, shown, { minVersion: version, maxVersion: version })).statusCode, 200, version);
      }
      assert.equal(
        (await post(ingress, await authority.issue({ ...client, commonName: 'x', name: 'hooks.quay.io' }))).statusCode,
        200,
      );
    });
  });

  it('is refused without one, and with one that merely carries the name', async () => {
    await withIngress(options, async (ingress) => {
      await expectRefused(ingress, {}, /no client certificate/);
      await expectRefused(ingress, await selfSigned(authority.folder, '*.quay.io'), /not trusted: it is self-signed/);
      const stranger = await createAuthority();
      const { cert, key } = await stranger.issue(client);
      await expectRefused(ingress, { cert, key }, /not trusted: no trusted authority has issued it/);
      const chain = `${cert}${await readFile(stranger.ca, 'utf8')}`;
      await expectRefused(ingress, { cert: chain, key }, /not trusted: its chain ends in an authority that is not trusted/);
      await rm(stranger.folder, { recursive: true });
    });
  });

  it('is refused with one that has expired, has another name, or is not for clients', async () => {
    await withIngress(options, async (ingress) => {
      await expectRefused(ingress, await authority.issue({ ...client, expired: true }), /not trusted: it has expired/);
      await expectRefused(
        ingress,
        await authority.issue({ ...client, commonName: '*.quay.io.evil.example', name: 'evil.example' }),
        /none of the names/,
      );
      // A common name is what its owner likes to be called; authorities vouch for the alternative names.
      for (const alternatives of ['DNS:evil.example', 'IP:192.0.2.1', 'URI:https://hooks.quay.io', 'email:x@hooks.quay.io'])
        await expectRefused(
          ingress,
          await authority.issue({ ...client, commonName: '*.quay.io', alternatives }),
          /none of the names/,
        );
      await expectRefused(
        ingress,
        await authority.issue({ ...client, extensions: ['extendedKeyUsage=codeSigning'] }),
        /not trusted: it was issued neither for clients nor for servers/,
      );
    });
  });

  it('is taken with what was issued for servers only, as public authorities do it, and judged as strictly', async () => {
    const forServers = { ...client, extensions: ['extendedKeyUsage=serverAuth'] };
    await withIngress(options, async (ingress) => {
      assert.equal((await post(ingress, await authority.issue(forServers))).statusCode, 200);
      const between = await authority.issueAuthority();
      const { cert, key } = await between.issue(forServers);
      assert.equal((await post(ingress, { cert: `${cert}${await readFile(between.ca, 'utf8')}`, key })).statusCode, 200);
      await expectRefused(ingress, { cert, key }, /not trusted: no trusted authority has issued it/);
      await expectRefused(ingress, await authority.issue({ ...forServers, expired: true }), /not trusted: it has expired/);
      const stranger = await createAuthority();
      await expectRefused(ingress, await stranger.issue(forServers), /not trusted: no trusted authority has issued it/);
      await rm(stranger.folder, { recursive: true });
    });
  });

  it('is taken with intermediates that the sender shows, and refused without them', async () => {
    await withIngress(options, async (ingress) => {
      const between = await authority.issueAuthority();
      const { cert, key } = await between.issue(client);
      assert.equal((await post(ingress, { cert: `${cert}${await readFile(between.ca, 'utf8')}`, key })).statusCode, 200);
      await expectRefused(ingress, { cert, key }, /not trusted: no trusted authority has issued it/);
    });
  });

  it('keeps what a resumed session has proven, and proves nothing by resuming', async () => {
    await withIngress(options, async (ingress) => {
      const shown = await authority.issue(client);
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        for (const [pair, status] of [
          [shown, 200],
          [{}, 401],
        ] as const) {
          const tls = { agent: new Agent({ keepAlive: false }), minVersion: version, maxVersion: version };
          assert.equal((await post(ingress, pair, tls)).statusCode, status);
          const again = await post(ingress, pair, tls);
          assert.equal((again.socket as TLSSocket).isSessionReused(), true, version);
          assert.equal(again.statusCode, status, version);
        }
      }
    });
  });

  it('is judged by the new authority once its file is replaced', async () => {
    const ca = join(authority.folder, 'trusted.pem');
    await writeFile(ca, await readFile(authority.ca));
    const next = await createAuthority();
    const [old, fresh] = [await authority.issue(client), await next.issue(client)];
    await withIngress({ ...options, ownReceivers: quayTrusting(ca) }, async (ingress) => {
      assert.equal((await post(ingress, old)).statusCode, 200);
      assert.equal((await post(ingress, fresh)).statusCode, 401);
      await writeFile(ca, 'half-written');
      await eventually('the complaint', async () => ingress.written().includes('the one before goes on'));
      assert.equal((await post(ingress, old)).statusCode, 200);
      await writeFile(`${ca}.new`, await readFile(next.ca));
      await rename(`${ca}.new`, ca);
      await eventually('the new authority', async () => (await post(ingress, fresh)).statusCode === 200);
      assert.equal((await post(ingress, old)).statusCode, 401);
    });
    await rm(next.folder, { recursive: true });
  });

  it('does not start with an authority that holds no certificate, for Node would trust all that it knows, nor with two of them', async () => {
    const [receiver] = quayTrusting(authority.ca);
    assert.ok(receiver !== undefined);
    const trusting = (pem: string): Receiver => ({ ...receiver, clientCertificates: { ca: () => pem } });
    await assert.rejects(startIngress({ ...options, ownReceivers: [trusting('')] }), /at least one certificate/);
    const two = [receiver, trusting(server.cert)];
    await assert.rejects(
      startIngress({ ...options, ownReceivers: two }),
      /one authority for all client certificates, found several/,
    );
  });
});

function quayTrusting(ca: string): readonly Receiver[] {
  return quaySource.open({ quay: { certificate: { ca } } }, contextOf({}));
}

type TlsFiles = NonNullable<IngressOptions['tls']>['files'];

/** In one go: who looks every 10 ms would also see the moment in which a file that is being written is empty. */
async function put(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

async function withIngress(options: IngressOptions, use: (ingress: Ingress) => Promise<void>): Promise<void> {
  const ingress = await startIngress(options);
  try {
    await use(ingress);
  } finally {
    await ingress.listeners.stop();
  }
}

async function written(name: string, { cert, key }: Issued): Promise<{ cert: string; key: string }> {
  const files = { cert: join(authority.folder, `${name}.crt`), key: join(authority.folder, `${name}.pem`) };
  await writeFile(files.cert, cert);
  await writeFile(files.key, key);
  return files;
}

/** The answer of `/healthz` unless another path is asked; each over a connection of its own unless an agent is given. */
async function ask(port: number, options: RequestOptions = {}, body = ''): Promise<IncomingMessage> {
  const sent = request({ port, host: '127.0.0.1', path: '/healthz', ca: await readFile(authority.ca), agent: false, ...options });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  answer.resume();
  await once(answer, 'close');
  return answer;
}

async function serialOf(port: number): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', ca: await readFile(authority.ca) });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

async function changed(port: number, before: string): Promise<string> {
  return await eventually('another certificate', async () => {
    const serial = await serialOf(port);
    return serial !== before && serial;
  });
}

async function say(port: number, text: string): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', ca: await readFile(authority.ca) });
  let heard = '';
  socket.setEncoding('utf8').on('data', (more: string) => {
    heard += more;
  });
  socket.on('error', () => undefined);
  const closed = once(socket, 'close');
  socket.write(text);
  await closed;
  return heard;
}

async function closing(socket: ReturnType<typeof connect>): Promise<void> {
  socket.on('error', () => undefined).resume();
  await once(socket, 'close');
}
