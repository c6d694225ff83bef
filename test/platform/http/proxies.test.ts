import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Repository, Tag } from '../../../src/domain/image-reference.ts';
import { createTokenVerifier } from '../../../src/http/oidc/token-verifier.ts';
import { createWebhook } from '../../../src/notifiers/webhook/notifier.ts';
import { createGitRunner } from '../../../src/platform/git/command.ts';
import { createGitHubClients } from '../../../src/platform/github/client.ts';
import { useProxies } from '../../../src/platform/http/client.ts';
import { proxyFor, proxyRules } from '../../../src/platform/http/proxies.ts';
import { askHttp } from '../../../src/probes/http.ts';
import { createAuditPost } from '../../../src/telemetry/audit-post.ts';
import { createAuthority } from '../../support/certificates.ts';
import { type ForwardProxy, startForwardProxy } from '../../support/forward-proxy.ts';
import { type HttpServer, startHttpServer } from '../../support/http-server.ts';
import { pushImage } from '../../support/images.ts';
import { noticeOf } from '../../support/notices.ts';
import { startOidcIssuer } from '../../support/oidc-issuer.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { registryClient } from '../../support/registry-client.ts';
import { createScanner } from '../../support/scanner.ts';

const log = pino({ enabled: false });
const { signal } = new AbortController();

describe('the proxies of the environment', () => {
  const through = (env: Record<string, string>, url: string): string | undefined => proxyFor(new URL(url), proxyRules(env))?.href;
  const both = { HTTP_PROXY: 'http://plain.test:3128', HTTPS_PROXY: 'https://secure.test' };

  it('are one for each scheme, in upper or lower case, with or without a scheme of their own', () => {
    assert.equal(through(both, 'http://example.org/'), 'http://plain.test:3128/');
    assert.equal(through(both, 'https://example.org/'), 'https://secure.test/');
    assert.equal(through({ HTTP_PROXY: 'http://plain.test' }, 'https://example.org/'), undefined);
    assert.equal(through({ ...both, http_proxy: 'other.test:81' }, 'http://example.org/'), 'http://other.test:81/');
    assert.equal(through({ HTTP_PROXY: '', https_proxy: '' }, 'http://example.org/'), undefined);
  });

  for (const [except, url, is] of [
    ['*', 'http://example.org/', 'direct'],
    ['example.org', 'http://example.org/', 'direct'],
    ['example.org', 'http://git.EXAMPLE.org/', 'direct'],
    ['.example.org', 'http://git.example.org/', 'direct'],
    ['*.example.org', 'https://git.example.org/', 'direct'],
    ['example.org', 'http://notexample.org/', 'through'],
    ['example.org:8080', 'http://example.org:8080/', 'direct'],
    ['example.org:8080', 'http://example.org/', 'through'],
    ['example.org:443', 'https://example.org/', 'direct'],
    ['a.test, example.org b.test', 'http://example.org/', 'direct'],
    ['127.0.0.1', 'http://127.0.0.1:5000/', 'direct'],
    ['0.0.1', 'http://127.0.0.1:5000/', 'through'],
    ['10.0.0.0/8', 'http://10.1.2.3/', 'direct'],
    ['10.0.0.0/8', 'http://11.1.2.3/', 'through'],
    ['10.0.0.0/8', 'http://ten.test/', 'through'],
    ['10.0.0.0/99', 'http://10.1.2.3/', 'through'],
    ['::1', 'http://[::1]:8080/', 'direct'],
    ['[::1]:8080', 'http://[::1]:8080/', 'direct'],
    ['[::1]:8080', 'http://[::1]/', 'through'],
    ['fd00::/8', 'http://[fd12::1]/', 'direct'],
    ['', 'http://example.org/', 'through'],
  ] as const) {
    it(`with NO_PROXY '${except}' reach ${url} ${is === 'direct' ? 'directly' : 'through the proxy'}`, () => {
      assert.equal(through({ ...both, NO_PROXY: except }, url) === undefined, is === 'direct');
    });
  }

  it('have to be addresses, and a wrong one is not repeated, as it may hold a password', () => {
    for (const wrong of ['socks5://ann:canary@proxy.test', 'http://ann:canary@:x']) {
      assert.throws(
        () => proxyRules({ HTTPS_PROXY: wrong }),
        (error) => error instanceof Error && /^HTTPS_PROXY: expected/.test(error.message) && !/canary/.test(error.message),
      );
    }
  });
});

describe('every request that Landfall makes', () => {
  let proxy: ForwardProxy;
  /** Hosts that only the proxy can reach, and where they really are. */
  const hosts = new Map<string, string>();
  let server: HttpServer;
  let registry: Registry;
  before(async () => {
    proxy = await startForwardProxy((host) => hosts.get(host));
    server = await startHttpServer((request, response) => {
      const isJson = request.url?.startsWith('/repos/') || request.url === '/version';
      response.writeHead(200, { 'content-type': 'application/json' }).end(isJson ? '{"id":1,"full_name":"team/web"}' : '');
    });
    registry = await startRegistry();
    for (const name of ['hook', 'github', 'audit', 'probe', 'trivy', 'git']) hosts.set(`${name}.example.test`, server.host);
    hosts.set('registry.example.test', registry.host);
  });
  after(async () => {
    useProxies({});
    await Promise.all([proxy.stop(), server.stop(), registry.stop()]);
  });
  beforeEach(() => useProxies({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url }));

  /** What the proxy saw while `work` was done. */
  async function seenBy(work: () => Promise<unknown>): Promise<string[]> {
    const before = proxy.seen.length;
    await work();
    return proxy.seen.slice(before);
  }

  const probe = (url: string, more = {}) =>
    askHttp(
      { kind: 'http', url, headers: {}, status: [], timeoutMs: 5_000, ...more },
      { baseDir: '/', secrets: (value) => value, signal },
    );
  const childEnv = () => ({ PATH: process.env.PATH, HOME: tmpdir(), HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url });

  it('to a registry goes through the proxy', async () => {
    const digest = await pushImage(registry, 'team/web', 'latest');
    const seen = await seenBy(async () => {
      const found = await registryClient().resolve('registry.example.test/team/web' as Repository, 'latest' as Tag);
      assert.equal(found, digest);
    });
    assert.deepEqual(seen, ['HEAD http://registry.example.test/v2/team/web/manifests/latest']);
  });

  it('to GitHub goes through the proxy', async () => {
    const seen = await seenBy(async () => {
      const { clientFor } = createGitHubClients({ token: 'x' }, { url: 'http://github.example.test' });
      await (await clientFor('team/web')).rest.repos.get({ owner: 'team', repo: 'web' });
    });
    assert.deepEqual(seen, ['GET http://github.example.test/repos/team/web']);
  });

  it('to a notifier goes through the proxy', async () => {
    const { send } = createWebhook({ secrets: (value) => value });
    const target = { url: 'http://hook.example.test/in', secret: 'key', plainHttp: true };
    const seen = await seenBy(() => send({ target, notice: noticeOf(), signal }));
    assert.deepEqual(seen, ['POST http://hook.example.test/in']);
  });

  it('that posts the audit log goes through the proxy', async () => {
    const seen = await seenBy(async () => {
      const post = createAuditPost({ endpoint: () => 'http://ann:pass@audit.example.test/in', plainHttp: true, log });
      post.write('{}\n');
      await post.close();
    });
    assert.deepEqual(seen, ['POST http://audit.example.test/in']);
    assert.match(server.requests.at(-1)?.headers.authorization ?? '', /^Basic /);
  });

  it('to an issuer of tokens goes through the proxy', async () => {
    const issuer = await startOidcIssuer();
    const { host } = new URL(issuer.url);
    hosts.set(host, host);
    try {
      const verify = createTokenVerifier({ issuers: [{ url: issuer.url }], audiences: ['us'], log, now: Date.now });
      const seen = await seenBy(async () => verify(await issuer.sign({ aud: 'us' })));
      assert.equal(seen.length, 2);
      assert.equal(seen[0], `GET ${issuer.url}/.well-known/openid-configuration`);
    } finally {
      await issuer.stop();
    }
  });

  it('that probes goes through the proxy, in a tunnel where it is TLS, whose certificate is that of the far end', async () => {
    const authority = await createAuthority();
    const secure = createServer(await authority.issue({ name: 'secure.example.test' }), (_, response) => void response.end());
    await new Promise<void>((listening) => secure.listen(0, '127.0.0.1', listening));
    const address = secure.address();
    hosts.set('secure.example.test:443', `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`);
    try {
      const seen = await seenBy(async () => {
        assert.equal((await probe('http://probe.example.test/healthz?full')).kind, 'good');
        assert.equal((await probe('https://secure.example.test/', { ca: authority.ca })).kind, 'good');
        assert.match((await probe('https://secure.example.test/')).text, /failed: .*(unable to|self-signed)/);
      });
      const tunnel = 'CONNECT secure.example.test:443';
      assert.deepEqual(seen, ['GET http://probe.example.test/healthz?full', tunnel, tunnel]);
    } finally {
      secure.closeAllConnections();
      secure.close();
      await rm(authority.folder, { recursive: true });
    }
  });

  it('through git goes through the proxy', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-proxy-'));
    try {
      const git = createGitRunner('git', childEnv());
      const seen = await seenBy(() => git(['-C', folder, 'ls-remote', 'http://git.example.test/team/web.git']));
      assert.equal(seen[0], 'GET http://git.example.test/team/web.git/info/refs?service=git-upload-pack');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('through Trivy goes through the proxy, and so do those to its server', async () => {
    const digest = await pushImage(registry, 'team/scanned', 'latest', { busybox: true });
    const scanner = await createScanner({ env: childEnv() });
    const asking = await createScanner({ server: 'http://trivy.example.test', database: false });
    try {
      const seen = await seenBy(async () => {
        await asking.trivy.database(signal);
        const files = { report: join(scanner.cacheDir, 'report.json'), sbom: join(scanner.cacheDir, 'sbom.json') };
        await scanner.trivy.scan({ repository: 'registry.example.test/team/scanned' as Repository, digest }, files, signal);
      });
      assert.equal(seen[0], 'GET http://trivy.example.test/version');
      assert.ok(seen.includes(`GET http://registry.example.test/v2/team/scanned/manifests/${digest}`), seen.join('\n'));
    } finally {
      await Promise.all([scanner.remove(), asking.remove()]);
    }
  });

  it('stays away from the proxy where NO_PROXY names the host', async () => {
    useProxies({ HTTP_PROXY: proxy.url, NO_PROXY: '127.0.0.1' });
    const git = createGitRunner('git', { ...childEnv(), NO_PROXY: '127.0.0.1' });
    const seen = await seenBy(async () => {
      await registryClient().tags(`${registry.host}/team/web` as Repository);
      assert.equal((await probe(`http://${server.host}/`)).kind, 'good');
      await git(['ls-remote', `http://${server.host}/team/web.git`]);
    });
    assert.deepEqual(seen, []);
  });

  it('brings the name and password of the proxy, and none to where it goes', async () => {
    useProxies({ HTTP_PROXY: proxy.url.replace('//', '//ann:p%40ss@'), HTTPS_PROXY: proxy.url.replace('//', '//ann@') });
    await probe('http://probe.example.test/');
    assert.equal(proxy.authorizations.at(-1), `Basic ${Buffer.from('ann:p@ss').toString('base64')}`);
    assert.equal(server.requests.at(-1)?.headers['proxy-authorization'], undefined);
    await probe('https://nobody.example.test/');
    assert.equal(proxy.authorizations.at(-1), `Basic ${Buffer.from('ann:').toString('base64')}`);
  });

  it('says so where the proxy lets it nowhere, or is not there', async () => {
    const closed = registryClient({ plainHttp: () => false }).tags('closed.example.test/team/web' as Repository);
    await assert.rejects(closed, /failed: the proxy answered 407 \(see HTTP_PROXY, HTTPS_PROXY and NO_PROXY\)$/);
    const plain = registryClient().tags('closed.example.test/team/web' as Repository);
    await assert.rejects(plain, /the proxy answered 407/);
    assert.match((await probe('https://closed.example.test/')).text, /407/);
    const gone = await startForwardProxy();
    await gone.stop();
    useProxies({ HTTP_PROXY: gone.url });
    await assert.rejects(registryClient().tags('registry.example.test/team/web' as Repository), /failed: ECONNREFUSED/);
  });
});
