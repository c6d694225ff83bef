import assert from 'node:assert/strict';
import { Refusal } from '../../../src/domain/failures.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { isScanned, type LocalImage, requireMadeOfScanned } from '../../../src/platform/docker/scanned.ts';
import { sha256 } from '../../support/images.ts';
import { verifiedOf } from '../../support/plans.ts';
import { repositoryAt, tagOf } from '../../support/registry-client.ts';

const of = (platform: string, name = platform) => ({ platform, digest: sha256(`${name} manifest`), config: sha256(name) });
const image: VerifiedImage = {
  ...verifiedOf({ repository: repositoryAt({ host: 'registry.example' }), tag: tagOf('1'), digest: sha256('index') }),
  platforms: [of('linux/amd64'), of('linux/arm64'), of('linux/arm/v6')],
};
const local = (Id: string, platform = 'linux/amd64', more: Partial<LocalImage> = {}): LocalImage => {
  const [Os = '', Architecture = '', Variant] = platform.split('/');
  return { Id, Os, Architecture, ...(Variant !== undefined && { Variant }), ...more };
};
/** As Docker 29 lists what it has of an index. */
const manifestOf = (ID: string, Available = true, Kind = 'image') => ({
  ID,
  Kind,
  Available,
  ...(Kind === 'image' && { ImageData: { Platform: { os: 'linux', architecture: 'amd64' } } }),
});

describe('what Docker has of an image', () => {
  const cases: readonly (readonly [what: string, local: LocalImage, platforms: readonly string[], isScanned: boolean])[] = [
    ['the configuration of a scanned child', local(sha256('linux/amd64')), [], true],
    ['the same, as Podman writes it', local(sha256('linux/amd64').slice('sha256:'.length)), [], true],
    ['another configuration of the same platform', local(sha256('evil')), [], false],
    ['a child of a platform that was not meant', local(sha256('linux/arm64'), 'linux/arm64'), ['linux/amd64'], false],
    ['a variant of what was meant', local(sha256('linux/arm/v6'), 'linux/arm/v6'), ['linux/arm'], true],
    ['the image manifest itself', local(sha256('linux/amd64 manifest')), [], true],
    ['the whole index, on a host of a scanned platform', local(image.digest), [], true],
    ['the whole index, on a host of another platform', local(image.digest, 'linux/s390x'), [], false],
    ['the whole index, on a host of a platform that was not meant', local(image.digest, 'linux/arm64'), ['linux/amd64'], false],
    [
      'of the index the scanned child, with its attestation',
      local(image.digest, 'linux/amd64', {
        Manifests: [
          manifestOf(sha256('linux/amd64 manifest')),
          manifestOf(sha256('attestation'), true, 'attestation'),
          manifestOf(sha256('evil'), false),
        ],
      }),
      [],
      true,
    ],
    [
      'of the index another child of that platform',
      local(image.digest, 'linux/amd64', { Manifests: [manifestOf(sha256('evil'))] }),
      [],
      false,
    ],
  ];
  for (const [what, found, platforms, expected] of cases) {
    it(`${expected ? 'may be started' : 'is not started'}: ${what}`, () => {
      assert.equal(isScanned(found, { platforms }, image), expected);
    });
  }

  it('is told by its platform where it was verified before configurations were kept', () => {
    const old = { ...image, platforms: image.platforms.map(({ platform, digest }) => ({ platform, digest })) };
    assert.equal(isScanned(local(sha256('any')), { platforms: [] }, old), true);
    assert.equal(isScanned(local(sha256('any')), { platforms: ['linux/arm64'] }, old), false);
  });

  it('is told by the manifest that a container was made of, where Docker says it', () => {
    const made = (digest?: string) => ({ Image: image.digest, ...(digest && { ImageManifestDescriptor: { digest } }) });
    requireMadeOfScanned(made(), { platforms: [] }, image);
    requireMadeOfScanned(made(sha256('linux/amd64 manifest')), { platforms: [] }, image);
    assert.throws(
      () => requireMadeOfScanned(made(sha256('evil')), { platforms: [] }, image),
      (error) => error instanceof Refusal && /expected Docker to run one of the images .* that were scanned/.test(error.message),
    );
  });
});
