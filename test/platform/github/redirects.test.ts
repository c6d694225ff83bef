import assert from 'node:assert/strict';
import { createGitHubClients } from '../../../src/platform/github/client.ts';
import { type HttpServer, startHttpServer } from '../../support/http-server.ts';

describe('where GitHub sends Landfall', () => {
  /** By method and path: the status and the `Location` that it is answered with. Anything else is there. */
  const moved: Record<string, readonly [status: number, location: string]> = {};
  let api: HttpServer;
  let thief: HttpServer;
  let sibling = '';

  before(async () => {
    const page = (path: string) => ({
      'content-type': 'application/json',
      link: `<http://${thief.host}${path}?page=2>; rel="next"`,
    });
    thief = await startHttpServer((_, response) => response.end('[]'));
    sibling = thief.host.replace('127.0.0.1', 'localhost');
    api = await startHttpServer((request, response) => {
      const [path = '', query] = (request.url ?? '').split('?');
      const [status, location] = moved[`${request.method} ${path}`] ?? [];
      if (status !== undefined) return response.writeHead(status, { location }).end();
      if (path === '/list' && query === undefined) return response.writeHead(200, page(path)).end('[1]');
      const said = path === '/list' ? [2] : { path, method: request.method };
      return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said));
    });
  });
  after(() => Promise.all([api.stop(), thief.stop()]));

  const client = () => createGitHubClients({ token: 'ghp_secret' }, { url: `http://${api.host}` }).clientFor('team/app');

  it('is followed within its own API, as after a repository was renamed, with the same method', async () => {
    moved['GET /old'] = [301, `http://${api.host}/new`];
    moved['GET /relative'] = [302, '/new'];
    moved['PATCH /old'] = [307, `http://${api.host}/new`];
    for (const asked of ['GET /old', 'GET /relative', 'PATCH /old']) {
      const { data } = await (await client()).request(asked);
      assert.deepEqual(data, { path: '/new', method: asked.split(' ')[0] });
    }
    assert.ok(api.requests.every(({ headers }) => headers.authorization === 'token ghp_secret'));
  });

  it('is nowhere else: no other host, port or scheme, by a redirect or a link, whatever comes along', async () => {
    const elsewhere = [
      `http://${thief.host}/`,
      `http://${sibling}/`,
      `https://${api.host}/`,
      'http://169.254.169.254/',
      `//${thief.host}/`,
      'file:///etc/passwd',
    ];
    for (const location of elsewhere) {
      moved['GET /stolen'] = [302, location];
      await assert.rejects(
        (await client()).request('GET /stolen'),
        /redirects to .*: expected an address of its own API/,
        location,
      );
    }
    moved['GET /broken'] = [302, 'http://['];
    await assert.rejects((await client()).request('GET /broken'), /redirects to what is no address/);
    // A page further on is asked for at the API itself.
    assert.deepEqual(await (await client()).paginate('GET /list'), [1, 2]);
    assert.equal(thief.requests.length, 0);
  });

  it('is not where another request would be made of it, nor for ever', async () => {
    moved['POST /made'] = [302, '/new'];
    await assert.rejects((await client()).request('POST /made'), /redirects POST \/made by 302: expected 307 or 308/);
    moved['GET /loop'] = [302, '/loop'];
    await assert.rejects((await client()).request('GET /loop'), /redirects more than 5 times/);
  });
});
