import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { join } from 'node:path';
import { Refusal } from '../../src/domain/failures.ts';
import type { HttpProbePlan } from '../../src/domain/plan.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { askHttp } from '../../src/probes/http.ts';
import { type Authority, createAuthority } from '../support/certificates.ts';
import { type HttpServer, startHttpServer } from '../support/http-server.ts';
import { digestOf } from '../support/plans.ts';

type Answering = (request: IncomingMessage, response: ServerResponse) => void;

describe('the http probe', () => {
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  async function serve(answer: Answering): Promise<HttpServer> {
    const server = await startHttpServer(answer);
    stops.push(server.stop);
    return server;
  }

  function plan(url: string, changes: Partial<HttpProbePlan> = {}): HttpProbePlan {
    return { kind: 'http', url, headers: {}, status: ['2xx', '3xx'], timeoutMs: 5_000, ...changes };
  }

  const context = { baseDir: '/', secrets: (value: string) => value, signal: new AbortController().signal };
  const ask = (probe: HttpProbePlan, more: Partial<Parameters<typeof askHttp>[1]> = {}) =>
    askHttp(probe, { ...context, ...more });

  async function asked(answer: Answering, changes: Partial<HttpProbePlan> = {}, more: Parameters<typeof ask>[1] = {}) {
    const { host } = await serve(answer);
    const { kind, text } = await ask(plan(`http://${host}/health`, changes), more);
    return `${kind}: ${text.replace(host, 'HOST')}`;
  }

  it('judges the status, by single codes and by classes', async () => {
    const says =
      (status: number): Answering =>
      (_, response) =>
        response.writeHead(status).end();
    assert.equal(await asked(says(204)), 'good: http http://HOST/health answered 204');
    assert.equal(await asked(says(503)), 'bad: http http://HOST/health answered 503, expected 2xx or 3xx');
    assert.equal(await asked(says(503), { status: ['503'] }), 'good: http http://HOST/health answered 503');
    assert.equal(
      await asked(says(200), { status: ['204', '4xx'] }),
      'bad: http http://HOST/health answered 200, expected 204 or 4xx',
    );
  });

  it('follows no redirect', async () => {
    const server = await serve((request, response) => {
      response.writeHead(request.url === '/health' ? 302 : 500, { location: '/other' }).end();
    });
    assert.equal((await ask(plan(`http://${server.host}/health`))).kind, 'good');
    assert.equal((await ask(plan(`http://${server.host}/health`, { status: ['2xx'] }))).kind, 'bad');
    assert.equal(server.requests.length, 2);
  });

  it('looks for a pattern anywhere in the body, and in a header', async () => {
    const says: Answering = (_, response) => response.writeHead(200, { 'x-state': 'all green' }).end('{"status": "ok"}');
    assert.match(await asked(says, { body: '"status":\\s*"ok"' }), /^good/);
    assert.match(await asked(says, { body: '^ok$' }), /^bad: .* answered 200 with a body that does not match \^ok\$/);
    assert.match(await asked(says, { header: { name: 'X-State', pattern: 'green' } }), /^good/);
    assert.match(await asked(says, { header: { name: 'X-State', pattern: 'red' } }), /^bad: .*X-State that does not match red/);
    assert.match(await asked(says, { header: { name: 'X-None', pattern: '' } }), /^bad: .* without the header X-None/);
    assert.match(await asked(says, { body: '(?=x)' }), /^bad: .* cannot be judged: a pattern is not in RE2's syntax/);
  });

  it('is not kept by a pattern and a body that other matchers never end with', async () => {
    const says: Answering = (_, response) => response.end('a'.repeat(1024 * 1024));
    assert.match(await asked(says, { body: '^(a+)+$b' }), /^bad/);
  });

  it('compares the version in a header or in the body with the image that is expected', async () => {
    const digest = digestOf('new');
    const expected = { digest, tag: '1.2', revision: 'abcdef0123456789' };
    const says: Answering = (_, response) =>
      response
        .writeHead(200, { 'x-version': '1.2' })
        .end(JSON.stringify({ build: { image: digestOf('old'), commit: 'abcdef0' } }));
    const version = (from: { header: string } | { json: string }, equals: 'tag' | 'digest' | 'revision') => ({
      version: { from, equals },
    });
    assert.match(await asked(says, version({ header: 'X-Version' }, 'tag'), { expected }), /^good/);
    assert.match(await asked(says, version({ json: '/build/commit' }, 'revision'), { expected }), /^good/);
    assert.match(
      await asked(says, version({ json: '/build/image' }, 'digest'), { expected }),
      new RegExp(
        `^bad: .* is still another version: /build/image of its answer says ${digestOf('old')}, expected digest ${digest}`,
      ),
    );
    assert.match(await asked(says, version({ json: '/none' }, 'tag'), { expected }), /^bad: .* without a version in \/none/);
    assert.match(
      await asked(says, version({ header: 'X-Version' }, 'tag'), { expected: { digest } }),
      /^bad: .* the tag of the image is not known/,
    );
    // Before the change nothing is expected.
    assert.match(await asked(says, version({ json: '/build/image' }, 'digest')), /^good/);
  });

  it('ends when its time is over, also where headers or body only trickle in', async () => {
    const nothing: Answering = () => {};
    assert.match(await asked(nothing, { timeoutMs: 200 }), /^bad: .* did not answer within 0.2 s/);
    const trickle: Answering = (_, response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(drip));
    };
    assert.match(await asked(trickle, { timeoutMs: 300 }), /^bad: .* did not answer within 0.3 s/);
  });

  it('reads no more than a MiB of an endless body', async () => {
    const endless: Answering = (_, response) => {
      response.on('error', () => {});
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
    };
    assert.match(await asked(endless, { body: '^x+$' }), /^good/);
  });

  it('opens a connection of its own for each reading', async () => {
    const ports = new Set<number | undefined>();
    const server = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      response.end();
    });
    for (let each = 0; each < 3; each += 1) await ask(plan(`http://${server.host}/`));
    assert.equal(ports.size, 3);
    assert.equal(server.requests[0]?.headers.connection, 'close');
  });

  it('does not use the proxy of the environment', async () => {
    process.env.http_proxy = `http://127.0.0.1:${await reservePort()}`;
    try {
      assert.match(await asked((_, response) => response.end()), /^good/);
    } finally {
      delete process.env.http_proxy;
    }
  });

  it('sends headers whose secrets it resolves, and shows none of them', async () => {
    const server = await serve((_, response) => response.writeHead(401).end('denied for hunter2'));
    const secrets = (value: string) => (value === 'env:TOKEN' ? 'Bearer hunter2' : value);
    const url = `http://ann:hunter2@${server.host}/health?token=hunter2`;
    const answer = await ask(plan(url, { headers: { Authorization: 'env:TOKEN' } }), { secrets });
    assert.equal(server.requests[0]?.headers.authorization, 'Bearer hunter2');
    assert.equal(answer.text, `http http://${server.host}/health?… answered 401, expected 2xx or 3xx`);
  });

  it('refuses where a secret is missing', async () => {
    const secrets = () => {
      throw new Refusal('SecretMissing', 'expected TOKEN');
    };
    await assert.rejects(ask(plan('http://127.0.0.1:1/', { headers: { a: 'env:TOKEN' } }), { secrets }), {
      type: 'SecretMissing',
    });
  });

  it('says what went wrong where nobody answers, or what answers is no HTTP', async () => {
    const port = await reservePort();
    assert.match((await ask(plan(`http://127.0.0.1:${port}/`))).text, /failed: .*ECONNREFUSED/);
    assert.match((await ask(plan('http://no-such-host.invalid/'))).text, /failed: .*(ENOTFOUND|EAI_AGAIN)/);
    assert.match((await ask(plan('nonsense'))).text, /cannot be asked/);
    const hangsUp = await serve((request) => request.socket.end('SSH-2.0-OpenSSH\r\n\r\n'));
    assert.match((await ask(plan(`http://${hangsUp.host}/`))).text, /failed: Response does not match the HTTP\/1.1 protocol/);
    const cutOff = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.destroy());
    });
    assert.equal((await ask(plan(`http://${cutOff.host}/`))).kind, 'bad');
  });

  it('ends with the reason of the signal', async () => {
    const stop = new AbortController();
    const { host } = await serve(() => stop.abort(new Error('enough')));
    await assert.rejects(ask(plan(`http://${host}/`), { signal: stop.signal }), /enough/);
  });

  describe('over TLS', () => {
    let authority: Authority;
    before(async () => {
      authority = await createAuthority();
    });
    after(async () => {
      await rm(authority.folder, { recursive: true });
    });

    async function serveSecurely(options: Parameters<Authority['issue']>[0] = {}): Promise<string> {
      const server = createSecureServer(await authority.issue(options), (_, response) => response.end('fine')).listen(
        0,
        '127.0.0.1',
      );
      await once(server, 'listening');
      stops.push(async () => {
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
      });
      const address = server.address();
      return typeof address === 'object' && address !== null ? `https://127.0.0.1:${address.port}/` : assert.fail();
    }

    it('trusts the authority that is configured, relative to the configuration', async () => {
      const url = await serveSecurely();
      assert.equal((await ask(plan(url, { ca: 'ca.pem' }), { baseDir: authority.folder })).kind, 'good');
    });

    it('trusts nobody else, whatever the environment says', async () => {
      const url = await serveSecurely();
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      try {
        const answer = await ask(plan(url));
        assert.equal(answer.kind, 'bad');
        assert.match(answer.text, /failed: .*(unable to verify|self-signed certificate|unable to get)/);
      } finally {
        delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      }
    });

    it('refuses a certificate of another name, and one that has expired', async () => {
      const other = await ask(plan(await serveSecurely({ name: 'other.test' }), { ca: authority.ca }));
      assert.match(other.text, /failed: Hostname\/IP does not match certificate's altnames/);
      const expired = await ask(plan(await serveSecurely({ expired: true }), { ca: authority.ca }));
      assert.match(expired.text, /failed: certificate has expired/);
    });

    it('says so where the file of the authority is missing, or is none', async () => {
      const url = await serveSecurely();
      assert.match((await ask(plan(url, { ca: '/nowhere/ca.pem' }))).text, /ENOENT.*\/nowhere\/ca\.pem/);
      await writeFile(join(authority.folder, 'none.pem'), 'nonsense');
      assert.equal((await ask(plan(url, { ca: join(authority.folder, 'none.pem') }))).kind, 'bad');
    });
  });
});
