import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { landfallHere } from '../cli/command.ts';

const token = `landfall_${'t'.repeat(40)}`;

describe('the command at an address of an API', () => {
  const servers: Server[] = [];
  after(() => {
    for (const server of servers) server.close();
  });

  async function serve(
    answer: RequestListener,
  ): Promise<{ readonly url: string; readonly server: Server; readonly asked: IncomingMessage[] }> {
    const asked: IncomingMessage[] = [];
    const server = createServer((request, response) => {
      asked.push(request);
      answer(request, response);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, asked };
  }

  const answering = (status: number, type: string, body: string): RequestListener => {
    return (_request, response) => void response.writeHead(status, { 'Content-Type': type }).end(body);
  };

  async function list(url: string, env: Record<string, string> = {}) {
    return await landfallHere(['list', '--url', url], { cwd: '/nowhere', env: { LANDFALL_TOKEN: token, ...env } });
  }

  for (const [what, answer, wanted] of [
    ['the page of a login', answering(200, 'text/html', '<html>'), /found text\/html with status 200: something else answers/],
    [
      'JSON of somebody else',
      answering(200, 'application/json', '{"rows":[{"id":7}]}'),
      /found another \(rows\.0\..*same version/,
    ],
    ['JSON that is none', answering(200, 'application/json', '{"rows":'), /found application\/json that is none/],
    ['no page', answering(404, 'text/plain', 'no'), /found text\/plain with status 404/],
    ['a gateway', answering(502, 'text/html', '<html>'), /in front of Landfall at .* answered 502: Landfall does not run/],
    [
      'a problem of Landfall itself',
      answering(500, 'application/problem+json', '{"type":"/api/v1/problems/failed","detail":"a defect"}'),
      /failed: a defect/,
    ],
    [
      'many who ask',
      answering(429, 'application/problem+json', '{"type":"/api/v1/problems/limited","detail":"later"}'),
      /^later$/m,
    ],
  ] as const)
    it(`says that it found ${what}`, async () => {
      const { url } = await serve(answer);
      const { exitCode, stdout, stderr } = await list(url);
      assert.match(stderr, wanted);
      assert.deepEqual([exitCode, stdout, stderr.includes(token)], [3, '', false]);
    });

  it('does not follow a redirect: nobody else is shown the token', async () => {
    const other = await serve(answering(200, 'application/json', '{"rows":[]}'));
    const { url } = await serve((_request, response) => void response.writeHead(302, { Location: `${other.url}/in` }).end());
    const { exitCode, stderr } = await list(url);
    assert.equal(exitCode, 3);
    assert.ok(stderr.includes(`sends on to ${other.url}, where nothing was asked`), stderr);
    assert.deepEqual(other.asked, []);
  });

  it('says where nobody answers', async () => {
    const { url } = await serve((request) => void request.destroy());
    const { exitCode, stderr } = await list(url);
    assert.equal(exitCode, 3);
    assert.match(stderr, /^Landfall at http:\/\/127\.0\.0\.1:\d+ failed: .*See that it runs, and that LANDFALL_URL/);
  });

  it('asks beneath the path of a proxy, with the token, or else by the name of who runs it', async () => {
    const { url, asked } = await serve(answering(200, 'application/json', '{"rows":[]}'));
    for (const given of [`${url}/ops/`, `${url}/ops/api/v1/`]) assert.equal((await list(given)).exitCode, 0);
    await list(url, { LANDFALL_TOKEN: '' });
    const paths = new Set(asked.map((request) => request.url?.split('?')[0]));
    assert.deepEqual([...paths].sort(), ['/api/v1/hold', '/api/v1/rollouts', '/ops/api/v1/hold', '/ops/api/v1/rollouts']);
    const [first] = asked;
    const last = asked.at(-1);
    assert.deepEqual([first?.headers.authorization, first?.headers['landfall-operator']], [`Bearer ${token}`, undefined]);
    assert.equal(last?.headers.authorization, undefined);
    assert.notEqual(last?.headers['landfall-operator'], undefined);
  });

  it('goes through the proxy of the environment by a tunnel, and never shows it the token', async () => {
    const { url, server } = await serve(answering(200, 'application/json', '{"rows":[]}'));
    const tunnels: IncomingMessage[] = [];
    server.on('connect', (request, socket) => {
      tunnels.push(request);
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    const { exitCode, stderr } = await list('https://landfall.example.org', { HTTPS_PROXY: url });
    assert.deepEqual([exitCode, tunnels[0]?.url], [3, 'landfall.example.org:443']);
    assert.ok(!JSON.stringify(tunnels[0]?.rawHeaders).includes(token));
    assert.match(stderr, /the proxy answered 403/);
    const plain = await list(url, { HTTP_PROXY: 'http://proxy.example.org:3128' });
    assert.match(plain.stderr, /the proxy proxy\.example\.org:3128 .* would read the token .*add 127\.0\.0\.1 to NO_PROXY/);
    assert.match((await list(url, { HTTP_PROXY: 'ftp://proxy' })).stderr, /HTTP_PROXY: expected the address of a proxy/);
    assert.equal((await list(url)).exitCode, 0);
  });

  it('says what a rollback comes to as the API answers it, once it was meant', async () => {
    const [me, answers] = [
      '{"name":"ann","way":"token","roles":["operate"]}',
      '{"workflow":"rollback:web:production:7","from":"b","to":"a"}',
    ];
    const { url, asked } = await serve((request, response) => {
      const body = request.url?.endsWith('/me') ? me : answers;
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(body);
    });
    const words = ['rollback', 'web', 'production', '--reason', 'an outage', '--yes', '--url', url];
    const { exitCode, stdout, stderr } = await landfallHere(words, { cwd: '/nowhere', env: { LANDFALL_TOKEN: token } });
    assert.equal(exitCode, 0, stderr);
    const lines = ['web: production is being rolled back (landfall show rollback:web:production:7) by ann', '  from b', '  to a'];
    assert.deepEqual(stdout.trimEnd().split('\n'), lines);
    assert.deepEqual(
      asked.map(({ method, url }) => `${method} ${url}`),
      ['GET /api/v1/me', 'POST /api/v1/services/web/commands'],
    );
  });

  it('is not asked where a file is named on the command line', async () => {
    const env = { LANDFALL_TOKEN: token, LANDFALL_URL: 'http://127.0.0.1:9' };
    const { exitCode, stderr } = await landfallHere(['list', '-c', '/nowhere/landfall.yaml'], { cwd: '/nowhere', env });
    assert.equal(exitCode, 3);
    assert.match(stderr, /^Landfall does not run from \/nowhere\/data/);
  });

  it('refuses an address that is none, and one where others can read the token, and never repeats a secret', async () => {
    for (const [address, wanted] of [
      ['landfall.example.org', /expected the address of the operators' listener, as https/],
      ['http://landfall.example.org:8081', /found http:\/\/, where everybody on the way can read the token.*ssh -L 8081/],
      ['https://ann:hunter2@landfall.example.org', /found a user or a password in it/],
      ['https://landfall.example.org/?page=1', /found one with \? or #/],
    ] as const) {
      const { exitCode, stderr } = await list(address);
      assert.equal(exitCode, 2);
      assert.match(stderr, wanted);
      assert.ok(!stderr.includes('hunter2'));
    }
    for (const wrong of ['short', `${token}\nX-Other: 1`, `${token}ü`]) {
      const { exitCode, stderr } = await list('http://127.0.0.1:9', { LANDFALL_TOKEN: wrong });
      assert.deepEqual([exitCode, stderr.includes(wrong)], [2, false]);
      assert.match(stderr, /expected a token of (at least 32 characters|letters, digits and signs) in LANDFALL_TOKEN/);
    }
  });
});
