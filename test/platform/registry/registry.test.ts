import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describeImage } from '../../../src/platform/registry/image-description.ts';
import { findTool } from '../../../src/platform/tools.mjs';
import { startHttpServer } from '../../support/http-server.ts';
import { deleteManifest, hostPlatform, pushImage, pushIndex, sha256, tag } from '../../support/images.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../../support/registry-client.ts';

const latest = tagOf('latest');

describe('a registry', () => {
  let registry: Registry;
  const client = registryClient();

  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry.stop());

  it('says what a tag points to, and that as soon as it points elsewhere', async () => {
    const repository = repositoryAt(registry, 'team/moving');
    const first = await pushImage(registry, 'team/moving', 'latest', { labels: { version: '1' } });
    assert.equal(await client.resolve(repository, latest), first);
    const second = await pushImage(registry, 'team/moving', 'latest', { labels: { version: '2' } });
    assert.notEqual(second, first);
    assert.equal(await client.resolve(repository, latest), second);
  });

  it('has no repository, no tag, no manifest and no configuration that was never pushed', async () => {
    await pushImage(registry, 'team/there', 'latest');
    const there = repositoryAt(registry, 'team/there');
    const nowhere = repositoryAt(registry, 'team/nowhere');
    assert.equal(await client.resolve(nowhere, latest), undefined);
    assert.equal(await client.resolve(there, tagOf('next')), undefined);
    assert.equal(await client.manifest(there, sha256('nothing')), undefined);
    assert.equal(await client.config(there, sha256('nothing')), undefined);
    assert.deepEqual(await client.tags(nowhere), []);
  });

  it('forgets a tag whose manifest was deleted', async () => {
    const digest = await pushImage(registry, 'team/deleted', 'latest');
    await deleteManifest(registry, 'team/deleted', digest);
    assert.equal(await client.resolve(repositoryAt(registry, 'team/deleted'), latest), undefined);
  });

  for (const mediaTypes of ['oci', 'docker'] as const) {
    it(`describes an image of several platforms with ${mediaTypes} media types`, async () => {
      const repository = repositoryAt(registry, `team/${mediaTypes}`);
      const labels = { 'org.opencontainers.image.revision': 'abc', 'org.opencontainers.image.source': 'https://git.example/app' };
      const images = [{ platform: 'linux/amd64', labels }, { platform: 'linux/arm64/v8' }, { platform: 'linux/arm/v7' }];
      const { digest, children } = await pushIndex(registry, `team/${mediaTypes}`, 'latest', images, { mediaTypes });
      const manifest = await client.manifest(repository, latest);
      assert.ok(manifest);
      assert.equal(manifest.digest, digest);
      const { size, platforms, ...description } = await describeImage(client, repository, manifest, []);
      assert.deepEqual(
        platforms.map(({ platform, digest }) => [platform, digest]),
        [
          ['linux/amd64', children[0]],
          ['linux/arm64', children[1]],
          ['linux/arm/v7', children[2]],
        ],
      );
      assert.deepEqual((await describeImage(client, repository, manifest, ['linux/arm64', 'linux/arm'])).platforms, platforms);
      assert.deepEqual(description, {
        mediaType: manifest.mediaType,
        created: '2024-05-01T12:00:00.000Z',
        revision: 'abc',
        source: 'https://git.example/app',
      });
      assert.equal(size, await storedSize(registry, `team/${mediaTypes}`, children));
    });
  }

  it('tells the platform of an image without an index from its configuration', async () => {
    await pushImage(registry, 'team/single', 'latest');
    const repository = repositoryAt(registry, 'team/single');
    const manifest = await client.manifest(repository, latest);
    assert.ok(manifest);
    const { platforms } = await describeImage(client, repository, manifest, [hostPlatform()]);
    assert.ok(manifest.kind === 'manifest');
    const { digest, config } = manifest;
    assert.deepEqual(platforms, [{ platform: hostPlatform(), digest, config: config.digest }]);
  });

  it('leaves the attestations of BuildKit out of the platforms, and does not miss them where they were not copied', async () => {
    const images = [{ platform: 'linux/amd64' }, { platform: 'linux/arm64' }];
    const { children } = await pushIndex(registry, 'team/attested', 'latest', images, { attestations: true });
    const repository = repositoryAt(registry, 'team/attested');
    const manifest = await client.manifest(repository, latest);
    assert.ok(manifest?.kind === 'index');
    assert.equal(manifest.manifests.length, 4);
    for (const attestation of manifest.manifests.slice(2)) await deleteManifest(registry, 'team/attested', attestation.digest);
    const { platforms } = await describeImage(client, repository, manifest, []);
    assert.deepEqual(
      platforms.map(({ digest }) => digest),
      children,
    );
  });

  it('has the same digests for what skopeo copied with all its platforms', async () => {
    const skopeo = findTool('skopeo');
    assert.ok(skopeo, 'expected skopeo on PATH');
    const images = [{ platform: 'linux/amd64' }, { platform: 'linux/arm64' }];
    const { digest } = await pushIndex(registry, 'team/original', 'latest', images);
    const [from, to] = ['original', 'copied'].map((name) => `docker://${registry.host}/team/${name}:latest`);
    const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    await promisify(execFile)(skopeo, ['copy', '--insecure-policy', '--all', ...plain, from ?? '', to ?? '']);
    const repository = repositoryAt(registry, 'team/copied');
    const manifest = await client.manifest(repository, latest);
    assert.equal(manifest?.digest, digest);
    assert.equal((await describeImage(client, repository, manifest, ['linux/arm64'])).platforms.length, 2);
  });

  it('lists the tags of a repository', async () => {
    await pushImage(registry, 'team/tagged', 'v1');
    await tag(registry, 'team/tagged', 'v1', 'latest');
    assert.deepEqual((await client.tags(repositoryAt(registry, 'team/tagged'))).sort(), ['latest', 'v1']);
  });

  it('is not spoken to without TLS unless the configuration says so, also where it is this very machine', async () => {
    const strict = registryClient({ plainHttp: (host) => host === 'registry.example:5000' });
    await assert.rejects(strict.resolve(repositoryAt(registry), latest), /failed: \w+/);
  });
});

describe('a list of tags in pages', () => {
  it('is followed to its end by the query of each link, whatever host the link names', async () => {
    const pages = [
      { tags: ['a', 'b'], link: '<https://internal.invalid/v2/team/app/tags/list?last=b&n=2>; rel="next"' },
      { tags: ['c', '-not-a-tag', 'b'], link: '</v2/team/app/tags/list?last=c&n=2>; rel=next' },
      { tags: null },
    ];
    const server = await startHttpServer((request, response) => {
      const last = new URL(request.url ?? '', 'http://any').searchParams.get('last');
      const { tags, link } = pages[last === null ? 0 : last === 'b' ? 1 : 2] ?? {};
      if (link) response.setHeader('link', link);
      response.end(JSON.stringify({ name: 'team/app', tags }));
    });
    try {
      assert.deepEqual(await registryClient().tags(repositoryAt(server)), ['a', 'b', 'c']);
      assert.equal(server.requests.length, 3);
    } finally {
      await server.stop();
    }
  });
});

describe('a list of tags without an end', () => {
  it('is read no further than some 100,000 tags, and says what to do', async () => {
    let page = 0;
    const server = await startHttpServer((_, response) => {
      page += 1;
      const tags = Array.from({ length: 20_000 }, (_, index) => `p${page}-${index}`);
      response.setHeader('link', `</v2/team/app/tags/list?last=${page}>; rel=next`);
      response.end(JSON.stringify({ name: 'team/app', tags }));
    });
    try {
      await assert.rejects(registryClient().tags(repositoryAt(server)), /has more than 100000 tags, .*: remove old tags there/);
      assert.equal(server.requests.length, 6);
    } finally {
      await server.stop();
    }
  });
});

/** Compressed bytes of configuration and layers, as the registry's own blobs have them. */
async function storedSize({ url }: Registry, name: string, manifests: readonly string[]): Promise<number> {
  let size = 0;
  for (const digest of manifests) {
    const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json';
    const answer = await fetch(`${url}/v2/${name}/manifests/${digest}`, { headers: { accept } });
    const { config, layers } = (await answer.json()) as { config: { digest: string }; layers: { digest: string }[] };
    for (const blob of [config, ...layers]) {
      size += (await (await fetch(`${url}/v2/${name}/blobs/${blob.digest}`)).arrayBuffer()).byteLength;
    }
  }
  return size;
}
