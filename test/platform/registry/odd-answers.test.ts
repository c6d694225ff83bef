import assert from 'node:assert/strict';
import { RateLimit, Refusal } from '../../../src/domain/failures.ts';
import { type Fault, startFaultyProxy } from '../../support/faulty-proxy.ts';
import { startHttpServer } from '../../support/http-server.ts';
import { pushImage } from '../../support/images.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { digestFrom, type RegistryClient, registryClient, repositoryAt, tagOf } from '../../support/registry-client.ts';

const latest = tagOf('latest');
const page = '<html>We are back soon.</html>';
const html = { 'content-type': 'text/html; charset=utf-8' };

describe('an answer that is not the registry itself gives', () => {
  let registry: Registry;
  let digest: string;
  let config: string;
  before(async () => {
    registry = await startRegistry();
    digest = await pushImage(registry, 'team/app', 'latest');
    const manifest = await registryClient().manifest(repositoryAt(registry), latest);
    assert.ok(manifest?.kind === 'manifest');
    config = manifest.config.digest;
  });
  after(() => registry.stop());

  const status = (code: number, body = '', headers: Record<string, string> = {}): Fault => ({
    kind: 'status',
    status: code,
    body,
    headers,
  });
  const json = { 'content-type': 'application/json' };
  const odd: readonly (readonly [what: string, ...faults: Fault[]])[] = [
    ['a page with 200', status(200, page, html)],
    ['a page without a type', status(200, page)],
    ['a page with 404', status(404, page, html)],
    ['the 404 of a proxy without its registry', status(404, '404 page not found\n', { 'content-type': 'text/plain' })],
    ['a 404 in JSON that is no registry gives', status(404, '{"message":"no route"}', json)],
    ['a page with 403', status(403, page, html)],
    ['a redirect to a login', status(302, '', { location: '/login' }), status(200, page, html)],
    ['nothing, with 200', status(200)],
    ['nothing, with 204', status(204)],
    ['a part, with 206', status(206, '{"schemaVersion":2}', json)],
    ['JSON that is cut', status(200, '{"schemaVersion":2,"config":{"mediaTy', json)],
    ['JSON that is empty', status(200, '{}', json)],
    ['errors with 200', status(200, '{"errors":[{"code":"UNAVAILABLE"}]}', json)],
    ['junk that calls itself compressed', status(200, 'junk', { ...json, 'content-encoding': 'gzip' })],
    ['less than it promises', status(200, '{"tags":[]}', { ...json, 'content-length': '1000' })],
    ['a 401 that does not say how to come in', status(401, page, html)],
  ];
  const questions: Readonly<Record<string, (client: RegistryClient, host: string) => Promise<unknown>>> = {
    'the manifest of a tag': (client, host) => client.manifest(repositoryAt({ host }), latest),
    'the manifest of a digest': (client, host) => client.manifest(repositoryAt({ host }), digestFrom(digest)),
    'an image configuration': (client, host) => client.config(repositoryAt({ host }), digestFrom(config)),
    'a list of tags': (client, host) => client.tags(repositoryAt({ host })),
  };
  for (const [what, ...faults] of odd) {
    it(`is neither a no nor an image, but broken, and asked again: ${what}`, async () => {
      for (const [question, ask] of Object.entries(questions)) {
        const proxy = await startFaultyProxy(registry.url, { faults });
        try {
          const client = registryClient();
          const error = await ask(client, proxy.host).then(
            (found) => assert.fail(`expected an error for ${question}, found ${JSON.stringify(found)}`),
            (thrown: unknown) => thrown,
          );
          assert.ok(
            error instanceof Error && !(error instanceof Refusal) && !(error instanceof RateLimit),
            `${question}: ${error}`,
          );
          assert.equal(proxy.remaining(), 0, question);
          assert.ok(await ask(client, proxy.host), question);
        } finally {
          await proxy.stop();
        }
      }
    });
  }

  it('says of a page what answered, and with what', async () => {
    const proxy = await startFaultyProxy(registry.url, { faults: [status(200, page, html)] });
    try {
      await assert.rejects(
        registryClient().manifest(repositoryAt(proxy), latest),
        /expected the manifest \S+:latest to be a manifest, found something else \(text\/html; charset=utf-8\) from 127\.0\.0\.1:\d+/,
      );
    } finally {
      await proxy.stop();
    }
  });

  it('hides no image where it comes for HEAD alone, whatever its status is', async () => {
    for (const head of [200, 204, 400, 401, 403, 404, 405, 500, 501, 503]) {
      const proxy = await startFaultyProxy(registry.url, {
        faults: [status(head, '', html)],
        applies: ({ method }) => method === 'HEAD',
      });
      try {
        assert.equal(await registryClient().resolve(repositoryAt(proxy), latest), digest, `${head}`);
        assert.deepEqual(
          proxy.requests.map(({ method }) => method),
          ['HEAD', 'GET'],
        );
        assert.equal(await registryClient().resolve(repositoryAt(proxy), tagOf('nowhere')), undefined);
      } finally {
        await proxy.stop();
      }
    }
  });

  it('is not taken for an empty token either', async () => {
    for (const [code, body] of [
      [200, page],
      [200, '{}'],
      [204, ''],
      [403, page],
      [404, page],
    ] as const) {
      const server = await startHttpServer((request, response) => {
        if (request.url?.startsWith('/token')) return response.writeHead(code, html).end(body);
        const realm = `http://${request.headers.host}/token`;
        return response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end();
      });
      try {
        const error = await registryClient()
          .manifest(repositoryAt(server), latest)
          .catch((thrown: unknown) => thrown);
        assert.ok(error instanceof Error && !(error instanceof Refusal), String(error));
      } finally {
        await server.stop();
      }
    }
  });
});
