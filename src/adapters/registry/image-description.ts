import { Refusal } from '../../domain/failures.ts';
import { type Digest, formatReference, type Repository } from '../../domain/image-reference.ts';
import type { VerifiedImage } from '../../domain/outcomes.ts';
import { isAttestation, isSchema1, otherThanImage } from './artifact-kind.ts';
import { concurrently } from './concurrently.ts';
import {
  type Descriptor,
  type ImageConfig,
  type IndexManifest,
  type Manifest,
  manifestTypes,
  type SingleManifest,
} from './manifest.ts';
import { normalPlatform, platformName } from './platform.ts';
import type { Registry } from './registry.ts';

/** What an image is, beyond its name. */
export type ImageDescription = Pick<VerifiedImage, 'mediaType' | 'platforms' | 'size' | 'created' | 'revision' | 'source'>;

/**
 * When the image was made (ISO 8601), by the configuration of its first platform; undefined where it does not say, and for what is no
 * image.
 * @throws MissingPart
 */
export async function creationTime(registry: Registry, repository: Repository, manifest: Manifest): Promise<string | undefined> {
  if (manifest.kind === 'index') {
    const first = manifest.manifests.find(isImageChild);
    const child = first && (await registry.manifest(repository, first.digest));
    if (first && child === undefined) throw new MissingPart(repository, first.digest, manifest.digest);
    return child?.kind === 'manifest' ? creationTime(registry, repository, child) : undefined;
  }
  if (manifest.kind === 'other' || otherThanImage(manifest) !== undefined) return undefined;
  return isoTime((await configOf(registry, repository, manifest)).created);
}

/** Something that a manifest names is not there (yet): registries are not always consistent at once. */
export class MissingPart extends Error {
  /** What is missing, and what names it; for messages. */
  readonly part: string;

  constructor(repository: Repository, digest: Digest, namedBy: Digest) {
    const part = `${formatReference({ repository, digest })}, which ${namedBy} names,`;
    super(`${part} is not in the registry`);
    this.name = 'MissingPart';
    this.part = part;
  }
}

interface PlatformImage {
  readonly platform: string;
  readonly manifest: SingleManifest;
  readonly config?: ImageConfig;
}

const requestsAtOnce = 4;
/** Each is a request, a scan and a line of history; the largest official images have some twenty. */
const mostImages = 64;
/** A revision is 40 or 64 digits, a source a URL; what is longer is neither, and would only fill histories. */
const longestLabel = 512;
const imageManifestTypes: readonly string[] = [manifestTypes.ociImage, manifestTypes.dockerImage];

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
      ? await imagesOfIndex(registry, repository, manifest, wanted)
      : [await onlyImage(registry, repository, manifest)];
  refuseMissingPlatforms(name, images, wanted);
  return summarise(registry, repository, manifest, images);
}

/** A platform is said by the index, or else by the image's own configuration. */
async function imagesOfIndex(
  registry: Registry,
  repository: Repository,
  index: IndexManifest,
  wanted: readonly string[],
): Promise<PlatformImage[]> {
  const name = formatReference({ repository, digest: index.digest });
  const children = index.manifests.filter(isImageChild);
  if (children.length > mostImages) {
    throw new Refusal(
      'NotAnImage',
      `${name} is an index of ${children.length} images, expected at most ${mostImages}; push it for fewer platforms`,
    );
  }
  const images = await concurrently(children, requestsAtOnce, (child) => childImage(registry, repository, index, child, wanted));
  const found = images.filter((image) => image !== undefined);
  if (found.length > 0) return found;
  const types = [...new Set(index.manifests.map((child) => child.artifactType ?? child.mediaType))].join(', ').slice(0, 300);
  throw new Refusal('NotAnImage', `${name} is an index without a container image; it lists ${types || 'nothing'}`);
}

function isImageChild(child: Descriptor): boolean {
  return imageManifestTypes.includes(child.mediaType) && !isAttestation(child);
}

/** @returns undefined for what is no image, and for a platform that nobody wants and that was not copied with the others */
async function childImage(
  registry: Registry,
  repository: Repository,
  index: IndexManifest,
  child: Descriptor,
  wanted: readonly string[],
): Promise<PlatformImage | undefined> {
  const platform = child.platform ? platformName(child.platform) : undefined;
  const manifest = await registry.manifest(repository, child.digest);
  if (manifest === undefined) {
    const isWanted = wanted.length === 0 || platform === undefined || wanted.map(normalPlatform).includes(platform);
    if (isWanted) throw new MissingPart(repository, child.digest, index.digest);
    return undefined;
  }
  if (manifest.kind !== 'manifest' || otherThanImage(manifest) !== undefined) return undefined;
  return platform === undefined ? onlyImage(registry, repository, manifest) : { platform, manifest };
}

async function onlyImage(registry: Registry, repository: Repository, manifest: SingleManifest): Promise<PlatformImage> {
  const config = await configOf(registry, repository, manifest);
  return { platform: platformName(config), manifest, config };
}

async function configOf(registry: Registry, repository: Repository, { config, digest }: SingleManifest): Promise<ImageConfig> {
  const found = await registry.config(repository, config.digest);
  if (found === undefined) throw new MissingPart(repository, config.digest, digest);
  return found;
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
): Promise<ImageDescription> {
  const [first] = images;
  const config = first && (first.config ?? (await configOf(registry, repository, first.manifest)));
  const labels = config?.config?.Labels ?? {};
  const created = isoTime(config?.created);
  const revision = shortLabel(labels['org.opencontainers.image.revision']);
  const source = shortLabel(labels['org.opencontainers.image.source']);
  return {
    mediaType: manifest.mediaType,
    platforms: images.map((image) => ({ platform: image.platform, digest: image.manifest.digest })),
    size: images.reduce((sum, image) => sum + compressedSize(image.manifest), 0),
    ...(created === undefined ? {} : { created }),
    ...(revision === undefined ? {} : { revision }),
    ...(source === undefined ? {} : { source }),
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
