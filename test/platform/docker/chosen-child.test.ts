import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type Docker from 'dockerode';
import fc from 'fast-check';
import { Refusal } from '../../../src/domain/failures.ts';
import type { Digest } from '../../../src/domain/image-reference.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { ensureImage } from '../../../src/platform/docker/images.ts';
import { requireScanned } from '../../../src/platform/docker/scanned.ts';
import { describeImage } from '../../../src/platform/registry/image-description.ts';
import { ensureDocker, removeImagesOf } from '../../support/docker.ts';
import { hostPlatform, pushArtifact, pushImage, pushIndex, pushManifest } from '../../support/images.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../../support/registry-client.ts';
import { mediaTypes } from '../../support/registry-upload.ts';

/**
 * 300 indexes as somebody might write them who wants one image to be scanned and another one to run. Whatever verify lets through, Docker
 * chooses from it what Landfall takes for the image of this host, or nothing. All images share one empty layer, so a pull costs little.
 */
const runs = 300;

const name = 'team/app';
const types = { image: mediaTypes.oci.manifest, docker: mediaTypes.docker.manifest, index: mediaTypes.oci.index };
const schema1 = 'application/vnd.docker.distribution.manifest.v1+json';
const [hostOs, hostArchitecture = ''] = hostPlatform().split('/');
const other = hostArchitecture === 'amd64' ? 'arm64' : 'amd64';
const attestation = { 'vnd.docker.reference.type': 'attestation-manifest' };

/** What an index may say of a child. */
const here = { os: hostOs, architecture: hostArchitecture };
const platforms: fc.Arbitrary<object | undefined> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(here) },
  { weight: 1, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom('v1', 'v2', 'v3', 'v8').map((variant) => ({ ...here, variant })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { os: 'Linux', architecture: hostArchitecture.toUpperCase() },
      { os: 'linux', architecture: hostArchitecture === 'amd64' ? 'x86_64' : 'aarch64' },
      { ...here, 'os.version': '10.0' },
      { ...here, 'os.features': ['sse4'] },
      { os: '', architecture: '' },
      { os: 'linux', architecture: '' },
    ),
  },
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      { os: 'linux', architecture: other },
      { os: 'linux', architecture: '386' },
      { os: 'linux', architecture: 'arm', variant: 'v7' },
      { os: 'linux', architecture: 'arm', variant: 'v6' },
      { os: 'windows', architecture: hostArchitecture, 'os.version': '10.0.20348' },
    ),
  },
  { weight: 2, arbitrary: fc.constant({ os: 'unknown', architecture: 'unknown' }) },
);

/** What there is in the registry to be listed. */
const contents = ['image', 'second image', 'in Docker’s format', 'for another platform', 'attestation', 'index'] as const;
type Content = (typeof contents)[number];

const entries = fc.record({
  platform: platforms,
  content: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom<Content>('image', 'for another platform') },
    { weight: 2, arbitrary: fc.constantFrom<Content>('attestation') },
    { weight: 1, arbitrary: fc.constantFrom<Content>(...contents) },
  ),
  /** Undefined: its own. */
  mediaType: fc.oneof(
    { weight: 12, arbitrary: fc.constant(undefined) },
    fc.constantFrom(types.image, types.docker, types.index, schema1),
  ),
  annotations: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fc.constant(attestation)),
});
type Entry = typeof entries extends fc.Arbitrary<infer Value> ? Value : never;

/** What an honest builder writes: every child for its own platform, and attestations for none. */
const sensible = (entry: Entry): Entry => {
  const isOurs = entry.content === 'image' || entry.content === 'for another platform';
  if (entry.content === 'attestation')
    return { ...entry, platform: { os: 'unknown', architecture: 'unknown' }, annotations: attestation, mediaType: undefined };
  const platform = entry.content === 'image' ? here : { os: 'linux', architecture: other };
  return isOurs ? { ...entry, platform, mediaType: undefined, annotations: undefined } : entry;
};
const indexes = fc.record({
  entries: fc.array(fc.oneof(entries, { weight: 3, arbitrary: entries.map(sensible) }), { minLength: 1, maxLength: 4 }),
  isDockers: fc.boolean(),
});

describe('what Docker chooses from an index', function () {
  this.timeout(180_000);
  let docker: Docker;
  let registry: Registry;
  const pool = new Map<Content, { readonly digest: Digest; readonly mediaType: string; readonly size: number }>();

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
    const add = async (content: Content, digest: Digest, mediaType: string) => {
      const answer = await fetch(`${registry.url}/v2/${name}/manifests/${digest}`, { headers: { accept: mediaType } });
      // Docker 29 reads as many bytes as the index says.
      pool.set(content, { digest, mediaType, size: (await answer.arrayBuffer()).byteLength });
    };
    const image = async (content: Content, platform: string, format: 'oci' | 'docker' = 'oci') =>
      add(
        content,
        await pushImage(registry, name, undefined, { platform, mediaTypes: format, labels: { content } }),
        mediaTypes[format].manifest,
      );
    await image('image', hostPlatform());
    await image('second image', hostPlatform());
    await image('in Docker’s format', hostPlatform(), 'docker');
    await image('for another platform', `linux/${other}`);
    const layers = [['application/vnd.in-toto+json', '{}']] as const;
    await add('attestation', await pushArtifact(registry, name, undefined, { layers }), types.image);
    await add('index', (await pushIndex(registry, name, undefined, [{ labels: { content: 'index' } }])).digest, types.index);
  });
  after(async () => {
    await removeImagesOf(docker, registry.host);
    await registry.stop();
  });

  const push = (index: { readonly entries: readonly Entry[]; readonly isDockers: boolean }) =>
    pushManifest(registry, name, undefined, {
      schemaVersion: 2,
      mediaType: index.isDockers ? mediaTypes.docker.index : types.index,
      manifests: index.entries.map(({ content, mediaType, platform, annotations }) => {
        const listed = pool.get(content) ?? assert.fail(content);
        return { digest: listed.digest, mediaType: mediaType ?? listed.mediaType, size: listed.size, platform, annotations };
      }),
    });

  /** Undefined where Landfall refuses it: then nothing of it ever starts. */
  async function verified(digest: Digest): Promise<VerifiedImage | undefined> {
    const [client, repository] = [registryClient(), repositoryAt(registry, name)];
    const manifest = (await client.manifest(repository, digest)) ?? assert.fail('it is not there');
    try {
      const description = await describeImage(client, repository, manifest, []);
      return { repository, tag: tagOf('latest'), digest, ...description };
    } catch (error) {
      if (error instanceof Refusal) return undefined;
      throw error;
    }
  }

  /** The label of the image that Docker would start, where Landfall lets it; undefined where it has none for this host. */
  async function startable(image: VerifiedImage): Promise<string | undefined> {
    const reference = `${image.repository}@${image.digest}`;
    const pull = {
      platform: hostPlatform(),
      credentials: async () => undefined,
      signal: AbortSignal.timeout(60_000),
      now: () => new Date(),
    };
    try {
      await ensureImage(docker, reference, pull);
      await requireScanned(docker, { platforms: [] }, image);
    } catch (error) {
      if (error instanceof Refusal && error.type === 'PlatformMissing') return undefined;
      throw error;
    }
    return (await docker.getImage(reference).inspect()).Config.Labels?.content;
  }

  it(`is what Landfall takes for the image of this host, or Landfall refuses the index, for ${runs} of them`, async () => {
    const count = { refused: 0, started: 0, 'not for this host': 0 };
    const property = fc.asyncProperty(indexes, async (index) => {
      const image = await verified(await push(index));
      if (image === undefined) {
        count.refused += 1;
        return;
      }
      // Docker 29 takes the best variant that the processor has; all of them are scanned.
      const ours = image.platforms.filter(
        ({ platform }) => platform === hostPlatform() || platform.startsWith(`${hostPlatform()}/`),
      );
      const contentsOf = (images: typeof image.platforms) =>
        [...pool].flatMap(([content, { digest }]) => (images.some((each) => each.digest === digest) ? [content] : []));
      const named = contentsOf(ours);
      const found = await startable(image);
      count[found === undefined ? 'not for this host' : 'started'] += 1;
      // Never one that is not scanned. Where no entry is plainly for this host, Docker 29 may take one that is by its configuration.
      const [only] = named;
      const isPlain = index.entries.some(
        ({ content, platform, annotations }) =>
          content === only && isDeepStrictEqual(platform, here) && annotations === undefined,
      );
      const mustStart = ours.length === 1 && isPlain && only !== 'for another platform';
      const allowed = isPlain ? named : contentsOf(image.platforms);
      if (found !== undefined || mustStart)
        assert.ok(
          allowed.some((each) => each === found),
          `${found} in place of ${allowed}`,
        );
    });
    await fc.assert(property, { numRuns: runs, interruptAfterTimeLimit: 500_000, markInterruptAsFailure: true });
    // Else it would say nothing.
    for (const [what, times] of Object.entries(count)) assert.ok(times >= runs / 10, `${what}: ${times} of ${runs}`);
  });
});
