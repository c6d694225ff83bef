import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RateLimit } from '../../../src/domain/failures.ts';
import type { Digest } from '../../../src/domain/image-reference.ts';
import { type HttpServer, startHttpServer } from '../../support/http-server.ts';
import { pushImage } from '../../support/images.ts';
import { startRegistry } from '../../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../../support/registry-client.ts';

const other = `sha256:${'0'.repeat(64)}` as Digest;

describe('a registry that is asked whether something has changed', () => {
  async function withServer(
    answer: (request: IncomingMessage, response: ServerResponse) => void,
    work: (server: HttpServer) => Promise<void>,
  ): Promise<void> {
    const server = await startHttpServer(answer);
    try {
      await work(server);
    } finally {
      await server.stop();
    }
  }

  it('tells the digest, changed or not: a real one', async () => {
    const registry = await startRegistry();
    try {
      const digest = await pushImage(registry, 'team/app', 'latest');
      const client = registryClient();
      const resolve = (known?: Digest, tag = 'latest') => client.resolve(repositoryAt(registry), tagOf(tag), known);
      assert.deepEqual([await resolve(), await resolve(digest), await resolve(other)], [digest, digest, digest]);
      assert.equal(await resolve(digest, 'missing'), undefined);
      assert.deepEqual(await client.tagList(repositoryAt(registry)), { tags: ['latest'] });
      assert.deepEqual(await client.tagList(repositoryAt(registry), '"anything"'), { tags: ['latest'] });
      assert.deepEqual(await client.tagList(repositoryAt(registry, 'team/none')), { tags: [] });
    } finally {
      await registry.stop();
    }
  });

  it('may answer that a tag is unchanged, and is not asked for more', async () => {
    await withServer(
      (_request, response) => void response.writeHead(304).end(),
      async (server) => {
        assert.equal(await registryClient().resolve(repositoryAt(server), tagOf('latest'), other), other);
        assert.equal(server.requests.length, 1);
        assert.equal(server.requests[0]?.headers['if-none-match'], `"${other}"`);
        // Nobody asked whether it is unchanged, so that this is no answer.
        await assert.rejects(registryClient().resolve(repositoryAt(server), tagOf('latest')), /304/);
      },
    );
  });

  it('may answer that a list is unchanged', async () => {
    await withServer(
      ({ headers }, response) => {
        if (headers['if-none-match'] === 'W/"one"') return void response.writeHead(304).end();
        return void response.writeHead(200, { etag: 'W/"one"' }).end('{"tags":["a","b"]}');
      },
      async (server) => {
        const list = await registryClient().tagList(repositoryAt(server));
        assert.deepEqual(list, { tags: ['a', 'b'], etag: 'W/"one"' });
        assert.equal(await registryClient().tagList(repositoryAt(server), 'W/"one"'), 'unchanged');
        assert.deepEqual(await registryClient().tagList(repositoryAt(server), '"older"'), list);
      },
    );
  });

  it('is not believed for a list of several pages, nor remembered by an ETag without end', async () => {
    let etag = '"first page"';
    await withServer(
      ({ url }, response) => {
        const isFirst = !url?.includes('last=');
        const link = etag.length < 100 && isFirst ? { link: '</v2/team/app/tags/list?last=a>; rel="next"' } : {};
        response.writeHead(200, { etag, ...link }).end(isFirst ? '{"tags":["a"]}' : '{"tags":["b"]}');
      },
      async (server) => {
        assert.deepEqual(await registryClient().tagList(repositoryAt(server)), { tags: ['a', 'b'] });
        etag = `"${'x'.repeat(5_000)}"`;
        assert.deepEqual(await registryClient().tagList(repositoryAt(server)), { tags: ['a'] });
      },
    );
  });

  const now = Date.UTC(2026, 0, 1);
  for (const [says, headers, seconds] of [
    ['Retry-After, whatever else', { 'retry-after': '7', 'ratelimit-remaining': '0;w=21600', 'ratelimit-reset': '99' }, 7],
    ['when the count begins anew', { 'ratelimit-reset': '90' }, 90],
    ['the moment at which it begins anew', { 'x-ratelimit-reset': `${now / 1_000 + 120}` }, 120],
    ['a moment that is over', { 'x-ratelimit-reset': '12' }, 60],
    [
      'that a window of six hours is used up, as Docker Hub does',
      { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '0;w=21600' },
      900,
    ],
    ['that something is left in its window', { 'ratelimit-remaining': '42;w=21600' }, 60],
    ['nonsense', { 'ratelimit-reset': 'soon', 'x-ratelimit-reset': 'x', 'ratelimit-remaining': '0;w=99999999999' }, 60],
    ['nothing', {}, 60],
  ] as const) {
    it(`is waited for ${seconds} s where it limits us and says ${says}`, async () => {
      await withServer(
        (_request, response) => void response.writeHead(429, headers).end(),
        async (server) => {
          const client = registryClient({ now: () => now });
          const limit = await client.resolve(repositoryAt(server), tagOf('latest')).catch((error: unknown) => error);
          assert.ok(limit instanceof RateLimit);
          assert.equal((limit.until.getTime() - now) / 1_000, seconds);
        },
      );
    });
  }
});
