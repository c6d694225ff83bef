import { Refusal } from '../../domain/failures.ts';
import { formatReference, type Repository } from '../../domain/image-reference.ts';
import type { VerifiedImage } from '../../domain/outcomes.ts';
import { isSchema1, otherThanImage } from './artifact-kind.ts';
import { imagesOfIndex, isImageEntry } from './image-index.ts';
import type { Manifest, SingleManifest } from './manifest.ts';
import { meantPlatforms, normalPlatform } from './platform.ts';
import { configOf, MissingPart, ownImage, type PlatformImage } from './platform-image.ts';
import type { Registry } from './registry.ts';

/** What an image is, beyond its name. */
export type ImageDescription = Pick<VerifiedImage, 'mediaType' | 'platforms' | 'size' | 'created' | 'revision' | 'source'>;

/**
 * When the image was made (ISO 8601), by the configuration of its first platform; undefined if it does not say, and for what is no
 * image.
 * @throws MissingPart
 */
export async function creationTime(registry: Registry, repository: Repository, manifest: Manifest): Promise<string | undefined> {
  if (manifest.kind === 'index') {
    const first = manifest.manifests.find(isImageEntry);
    const child = first && (await registry.manifest(repository, first.digest));
    if (first && child === undefined) throw new MissingPart(repository, first.digest, manifest.digest);
    return child?.kind === 'manifest' ? creationTime(registry, repository, child) : undefined;
  }
  if (manifest.kind === 'other' || otherThanImage(manifest) !== undefined) return undefined;
  return isoTime((await configOf(registry, repository, manifest)).created);
}

/** A revision is 40 or 64 digits, a source a URL; what is longer is neither, and would only fill histories. */
const longestLabel = 512;

/**
 * Looks at every platform of an image.
 * @param wanted platforms that it must have; empty: whatever it has
 * @throws Refusal `NotAnImage`, `PlatformMissing` or `DigestMismatch`; MissingPart
 */
export async function describeImage(
  registry: Registry,
  repository: Repository,
  manifest: Manifest,
  wanted: readonly string[],
): Promise<ImageDescription> {
  const name = formatReference({ repository, digest: manifest.digest });
  if (isSchema1(manifest)) {
    throw new Refusal(
      'NotAnImage',
      `${name} is a Docker schema 1 manifest, which cannot be verified; build and push it again with a current Docker, ` +
        'or convert it: skopeo copy --format oci docker://IMAGE docker://IMAGE',
    );
  }
  const other = otherThanImage(manifest);
  if (other !== undefined || manifest.kind === 'other') {
    throw new Refusal('NotAnImage', `${name} is ${other ?? manifest.mediaType}, not a container image`);
  }
  const images =
    manifest.kind === 'index'
      ? await imagesOfIndex({ registry, repository, index: manifest, wanted })
      : [await ownImage(registry, repository, manifest)];
  refuseMissingPlatforms(name, images, wanted);
  return summarise(registry, repository, manifest, images, wanted);
}

function refuseMissingPlatforms(name: string, images: readonly PlatformImage[], wanted: readonly string[]): void {
  const there = images.map((image) => image.platform);
  const missing = wanted.filter((platform) => !there.includes(normalPlatform(platform)));
  if (missing.length === 0) return;
  throw new Refusal(
    'PlatformMissing',
    `${name} is not built for ${missing.join(', ')}, which the service wants; it has ${there.join(', ')}. ` +
      `Build it for all of them (docker buildx build --platform ${wanted.join(',')}), or change platforms of the service`,
    [{ missing, there }],
  );
}

async function summarise(
  registry: Registry,
  repository: Repository,
  manifest: Manifest,
  images: readonly PlatformImage[],
  wanted: readonly string[],
): Promise<ImageDescription> {
  const [first] = meantPlatforms(wanted, images);
  const config = first && (first.config ?? (await configOf(registry, repository, first.manifest)));
  const labels = config?.config?.Labels ?? {};
  const created = isoTime(config?.created);
  const revision = shortLabel(labels['org.opencontainers.image.revision']);
  const source = shortLabel(labels['org.opencontainers.image.source']);
  return {
    mediaType: manifest.mediaType,
    platforms: images.map(({ platform, manifest: { digest, config } }) => ({ platform, digest, config: config.digest })),
    size: images.reduce((sum, image) => sum + compressedSize(image.manifest), 0),
    ...(created !== undefined && { created }),
    ...(revision !== undefined && { revision }),
    ...(source !== undefined && { source }),
  };
}

function compressedSize({ config, layers }: SingleManifest): number {
  return layers.reduce((sum, layer) => sum + layer.size, config.size);
}

/** Go's zero time, which some builders write, is no time. */
function isoTime(text: string | null | undefined): string | undefined {
  const milliseconds = Date.parse(text ?? '');
  return Number.isNaN(milliseconds) || text?.startsWith('0001-') ? undefined : new Date(milliseconds).toISOString();
}

function shortLabel(label: string | undefined): string | undefined {
  return label === undefined || label === '' || label.length > longestLabel ? undefined : label;
}
