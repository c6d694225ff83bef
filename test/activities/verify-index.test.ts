import assert from 'node:assert/strict';
import { createVerify } from '../../src/activities/verify.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { VerifiedImage } from '../../src/domain/outcomes.ts';
import { failureOf, runActivity } from '../support/activity.ts';
import { pushArtifact, pushChart, pushImage, pushIndex, pushManifest } from '../support/images.ts';
import { planOf } from '../support/plans.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../support/registry-client.ts';
import { mediaTypes, pushBlob } from '../support/registry-upload.ts';

const { verify } = createVerify({ registry: registryClient() });
const amd64 = { os: 'linux', architecture: 'amd64' };
const nobody = { os: 'unknown', architecture: 'unknown' };
const attestation = { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } };
const name = 'team/app';

type Entry = Readonly<Record<string, unknown>> & { readonly digest: Digest };

describe('an index from which runtimes choose by platform', () => {
  let registry: Registry;
  /** Two images for linux/amd64. */
  let good: Entry;
  let evil: Entry;
  before(async () => {
    registry = await startRegistry();
    good = await image('linux/amd64', { what: 'good' });
    evil = await image('linux/amd64', { what: 'evil' });
  });
  after(() => registry.stop());

  /** As an index lists it, without a platform. */
  async function image(platform: string, labels: Record<string, string> = {}, types: 'oci' | 'docker' = 'oci'): Promise<Entry> {
    const digest = await pushImage(registry, name, undefined, { platform, labels, mediaTypes: types });
    return { mediaType: mediaTypes[types].manifest, digest, size: 500 };
  }

  const indexOf = (manifests: readonly Entry[], more: object = {}) =>
    pushManifest(registry, name, undefined, { schemaVersion: 2, mediaType: mediaTypes.oci.index, manifests, ...more });

  function verifying(digest: Digest, platforms: readonly string[] = [], mostImageBytes?: number) {
    const repository = repositoryAt(registry, name);
    const image = { repository, tag: tagOf('latest'), digest };
    const plan = planOf({ repository, platforms, ...(mostImageBytes !== undefined && { mostImageBytes }) });
    return runActivity(verify, { plan, image, byDigest: true });
  }

  async function platformsOf(digest: Digest, wanted: readonly string[] = []): Promise<VerifiedImage['platforms']> {
    const outcome = await verifying(digest, wanted);
    assert.ok(outcome.kind === 'verified', JSON.stringify(outcome));
    return outcome.image.platforms;
  }

  const passing: readonly [what: string, push: () => Promise<Digest>, platforms: readonly string[]][] = [
    [
      'of BuildKit, with provenance beside each image',
      async () =>
        (
          await pushIndex(registry, name, undefined, [{ platform: 'linux/amd64' }, { platform: 'linux/arm64' }], {
            attestations: true,
          })
        ).digest,
      ['linux/amd64', 'linux/arm64'],
    ],
    [
      'of BuildKit, with attestations as OCI artifacts',
      async () => {
        const digest = await pushArtifact(registry, name, undefined, {
          artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
          layers: [['application/vnd.in-toto+json', '{}']],
        });
        const attached = { mediaType: mediaTypes.oci.manifest, digest, size: 500, platform: nobody, ...attestation };
        return indexOf([{ ...good, platform: amd64 }, attached]);
      },
      ['linux/amd64'],
    ],
    [
      'with data for lazy pulls, which is for no platform',
      async () => {
        const artifactType = 'application/vnd.amazon.soci.index.v2+json';
        const digest = await pushArtifact(registry, name, undefined, {
          artifactType,
          layers: [['application/octet-stream', 'ztoc']],
        });
        return indexOf([
          { ...good, platform: amd64 },
          { mediaType: mediaTypes.oci.manifest, artifactType, digest, size: 500, platform: nobody },
        ]);
      },
      ['linux/amd64'],
    ],
    [
      'for all variants of ARM',
      async () => {
        const variants = ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7', 'linux/arm64/v8'].map((platform) => ({ platform }));
        return (await pushIndex(registry, name, undefined, variants)).digest;
      },
      ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7', 'linux/arm64'],
    ],
    [
      'for several versions of Windows',
      async () => {
        const versions = ['10.0.17763.5329', '10.0.20348.2227'];
        const windows = await Promise.all(versions.map((version) => image('windows/amd64', { version })));
        const platform = { os: 'windows', architecture: 'amd64' };
        return indexOf(windows.map((each, at) => ({ ...each, platform: { ...platform, 'os.version': versions[at] } })));
      },
      ['windows/amd64', 'windows/amd64'],
    ],
    [
      "in Docker's format",
      async () => {
        const images = [{ platform: 'linux/amd64' }, { platform: 'linux/s390x' }];
        return (await pushIndex(registry, name, undefined, images, { mediaTypes: 'docker' })).digest;
      },
      ['linux/amd64', 'linux/s390x'],
    ],
    [
      'of images in both formats, as imagetools makes it of several',
      async () => {
        const docker = await image('linux/arm64', {}, 'docker');
        return indexOf([
          { ...good, platform: amd64 },
          { ...docker, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
        ]);
      },
      ['linux/amd64', 'linux/arm64'],
    ],
    ['that names no platforms, which the images do themselves', () => indexOf([good]), ['linux/amd64']],
    [
      'that lists one image twice',
      () =>
        indexOf([
          { ...good, platform: amd64 },
          { ...good, platform: { ...amd64, variant: 'v1' } },
        ]),
      ['linux/amd64'],
    ],
    ['for one platform, without attestations', () => indexOf([{ ...good, platform: amd64 }]), ['linux/amd64']],
  ];
  for (const [what, push, platforms] of passing) {
    it(`passes ${what}`, async () => {
      const found = await platformsOf(await push());
      assert.deepEqual(
        found.map(({ platform }) => platform),
        platforms,
      );
      for (const { config } of found) assert.match(config ?? '', /^sha256:/);
    });
  }

  const rivals = /is an index with two images for linux\/\w+, sha256:\w+ and sha256:\w+, .*one image for each platform/;
  const marked = /found an image for a platform that is marked as an attestation: a runtime may start what was not scanned/;
  const refused: readonly (readonly [what: string, push: () => Promise<Digest>, said: RegExp])[] = [
    [
      'with an image that is marked as an attestation, before another for the same platform',
      () =>
        indexOf([
          { ...evil, platform: amd64, ...attestation },
          { ...good, platform: amd64 },
        ]),
      marked,
    ],
    [
      'with an image that is marked as an attestation, beside one that is listed for another platform and by itself is for this one',
      () =>
        indexOf([
          { ...evil, platform: { os: 'linux', architecture: 'arm64' } },
          { ...good, platform: amd64, ...attestation },
        ]),
      marked,
    ],
    [
      'with an image for Linux that asks for features of the system, which some runtimes pass over',
      () => indexOf([{ ...good, platform: { ...amd64, 'os.features': ['sse4'] } }]),
      /found an image that asks for features of the system \(os\.features\)/,
    ],
    [
      'with an image for no platform',
      () =>
        indexOf([
          { ...good, platform: amd64 },
          { ...evil, platform: nobody, ...attestation },
        ]),
      /lists sha256:\w+ for unknown\/unknown, expected a container image there, found an image that nobody could scan/,
    ],
    [
      'with an image whose configuration has another type',
      async () => {
        const digest = await pushArtifact(registry, name, undefined, {
          config: ['application/octet-stream', '{"os":"linux","architecture":"amd64"}'],
          layers: [[mediaTypes.oci.layer, 'x']],
        });
        return indexOf([
          { mediaType: mediaTypes.oci.manifest, digest, size: 500, platform: amd64 },
          { ...good, platform: { os: 'linux', architecture: 'arm64' } },
        ]);
      },
      /for linux\/amd64, .* found an artifact of type application\/octet-stream: a runtime may start what was not scanned; build it again/,
    ],
    [
      'with an image that is listed as schema 1',
      () =>
        indexOf([
          { ...evil, mediaType: 'application/vnd.docker.distribution.manifest.v1+json', platform: amd64 },
          { ...good, platform: { os: 'linux', architecture: 'arm64' } },
        ]),
      /found something of type application\/vnd\.docker\.distribution\.manifest\.v1\+json/,
    ],
    [
      'with an image that is listed as one of another format',
      () => indexOf([{ ...good, mediaType: mediaTypes.docker.manifest, platform: amd64 }]),
      /found something of type \S+docker\S+, which is of type \S+oci\S+ itself/,
    ],
    [
      'within an index',
      async () => {
        const inner = { mediaType: mediaTypes.oci.index, digest: await indexOf([{ ...evil, platform: amd64 }]), size: 500 };
        return indexOf([
          { ...inner, platform: amd64 },
          { ...good, platform: amd64 },
        ]);
      },
      /for linux\/amd64, .* found an index within the index/,
    ],
    [
      'with a chart beside the image',
      async () => {
        const chart = { mediaType: mediaTypes.oci.manifest, digest: await pushChart(registry, name, 'chart'), size: 500 };
        return indexOf([{ ...good, platform: amd64 }, chart]);
      },
      /found a Helm chart/,
    ],
    [
      'with an image for half a platform, which Docker takes for its own',
      () => indexOf([{ ...evil, platform: { os: '', architecture: 'amd64' } }, good]),
      /for half a platform/,
    ],
    [
      'with an image that has a layer of another type, which Docker unpacks all the same',
      async () => {
        const digest = await pushArtifact(registry, name, undefined, {
          config: [mediaTypes.oci.config, '{"os":"linux","architecture":"amd64"}'],
          layers: [
            [mediaTypes.oci.layer, 'x'],
            ['application/octet-stream', 'y'],
          ],
        });
        return indexOf([{ mediaType: mediaTypes.oci.manifest, digest, size: 500, platform: amd64 }]);
      },
      /found an artifact of type application\/octet-stream/,
    ],
    [
      'with a second list of manifests, which Docker takes for the first',
      () => indexOf([{ ...good, platform: amd64 }], { Manifests: [{ ...evil, platform: amd64 }] }),
      /has the key 'Manifests' twice, or in another case/,
    ],
    [
      'with a second platform of an image',
      () => indexOf([{ ...evil, platform: { os: 'linux', architecture: 's390x', Architecture: 'amd64' } }]),
      /has the key 'Architecture' twice/,
    ],
    ...(
      [
        ['in capitals', { os: 'Linux', architecture: 'AMD64' }],
        ['as compilers write it', { os: 'linux', architecture: 'x86_64' }],
        ['with the variant that goes without saying', { ...amd64, variant: 'v1' }],
        ['with a version of the system, which only Windows looks at', { ...amd64, 'os.version': '5.0' }],
        ['nowhere, so that its configuration tells', undefined],
      ] as const
    ).map(
      ([how, platform]) =>
        [
          `with two images for one platform, of which one names it ${how}`,
          () =>
            indexOf([
              { ...evil, ...(platform && { platform }) },
              { ...good, platform: amd64 },
            ]),
          rivals,
        ] as const,
    ),
  ];
  for (const [what, push, said] of refused) {
    it(`is refused ${what}`, async () => {
      const digest = await push();
      for (const wanted of [[], ['linux/amd64']]) {
        const failure = await failureOf(verifying(digest, wanted));
        assert.equal(failure.type, 'NotAnImage');
        assert.match(failure.message, said);
      }
    });
  }

  it('keeps digests of manifest and configuration of every platform, so that a host can tell what it runs', async () => {
    const client = registryClient();
    const manifest = await client.manifest(repositoryAt(registry, name), good.digest);
    assert.ok(manifest?.kind === 'manifest');
    const [found] = await platformsOf(await indexOf([{ ...good, platform: amd64 }]));
    assert.deepEqual(found, { platform: 'linux/amd64', digest: good.digest, config: manifest.config.digest });
  });

  describe('of many or large layers', () => {
    /** An image of one platform whose manifest claims such a layer. */
    async function layered(platform: string, size: number, layer = platform): Promise<Entry> {
      const [os = '', architecture = ''] = platform.split('/');
      const config = JSON.stringify({ os, architecture, config: {}, rootfs: { type: 'layers', diff_ids: [] } });
      const { mediaType, digest } = await pushBlob(registry, name, mediaTypes.oci.layer, Buffer.from(layer));
      const pushed = await pushManifest(registry, name, undefined, {
        schemaVersion: 2,
        mediaType: mediaTypes.oci.manifest,
        config: await pushBlob(registry, name, mediaTypes.oci.config, Buffer.from(config)),
        layers: [{ mediaType, digest, size }],
      });
      return { mediaType: mediaTypes.oci.manifest, digest: pushed, size: 500, platform: { os, architecture } };
    }
    const gib = 1024 ** 3;
    const refused = async (digest: Digest, platforms: readonly string[] = [], mostImageBytes?: number) =>
      (await failureOf(verifying(digest, platforms, mostImageBytes))).message;

    it('is refused before anything of it is fetched, with what can be done', async () => {
      const { digest } = await layered('linux/amd64', 11 * gib);
      assert.match(
        await refused(digest),
        /has 11\.0 GiB in its layers, compressed, expected at most 10\.0 GiB: make it smaller, .* or raise verify\.maxSize/,
      );
      assert.equal((await failureOf(verifying(digest))).type, 'ImageTooLarge');
      assert.equal((await verifying(digest, [], 12 * gib)).kind, 'verified');
    });

    it('is refused for all of its meant platforms together, of which shared layers count once', async () => {
      const several = ['linux/amd64', 'linux/arm64', 'linux/riscv64'];
      const apart = await indexOf(await Promise.all(several.map((platform) => layered(platform, 4 * gib))));
      assert.match(await refused(apart), /has 12\.0 GiB/);
      assert.equal((await verifying(apart, ['linux/amd64', 'linux/arm64'])).kind, 'verified');
      assert.match(await refused(apart, ['linux/amd64'], gib), /has 4\.0 GiB .* at most 1\.0 GiB/);
      const shared = await indexOf(await Promise.all(several.map((platform) => layered(platform, 4 * gib, 'one'))));
      assert.equal((await verifying(shared)).kind, 'verified');
    });
  });
});
