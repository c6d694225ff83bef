import { concurrently } from '../../domain/concurrently.ts';
import { Refusal } from '../../domain/failures.ts';
import { type Digest, formatReference, type Repository } from '../../domain/image-reference.ts';
import type { VerifiedImage } from '../../domain/outcomes.ts';
import { usualImageBytes } from '../../domain/plan.ts';
import { isForNoPlatform, isSchema1, otherThanImage } from './artifact-kind.ts';
import {
  type Descriptor,
  type ImageConfig,
  type IndexManifest,
  type Manifest,
  manifestTypes,
  type SingleManifest,
} from './manifest.ts';
import { isMeant, meantPlatforms, normalPlatform, platformName } from './platform.ts';
import type { Registry } from './registry.ts';

/** What an image is, beyond its name. */
type ImageDescription = Pick<VerifiedImage, 'mediaType' | 'platforms' | 'size' | 'created' | 'revision' | 'source'>;

/** An image for one platform. */
interface PlatformImage {
  /** In the spelling of `normalPlatform`. */
  readonly platform: string;
  readonly manifest: SingleManifest;
  readonly config?: ImageConfig;
  /** Where an index lists it. */
  readonly entry?: Descriptor;
}

interface IndexQuery {
  readonly name: string;
  readonly registry: Registry;
  readonly repository: Repository;
  readonly index: IndexManifest;
  readonly wanted: readonly string[];
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

const requestsAtOnce = 4;
/** Each is a request, a scan and a line of history; the largest official images have some twenty. */
const mostImages = 64;
/** With what is listed beside the images. */
const mostEntries = 4 * mostImages;
const imageTypes: readonly string[] = [manifestTypes.ociImage, manifestTypes.dockerImage];
/** By which BuildKit marks provenance and SBOM. */
const referenceType = 'vnd.docker.reference.type';
const indexTypes: readonly string[] = [manifestTypes.ociIndex, manifestTypes.dockerIndex];
/** Of annotations and labels: https://specs.opencontainers.org/image-spec/annotations/ */
export const revisionKey = 'org.opencontainers.image.revision';
/** A revision is 40 or 64 digits, a source a URL; what is longer is neither, and would only fill histories. */
const longestLabel = 512;

/** When it was made (ISO 8601), by its first platform's configuration; undefined if that does not say, or for no image. @throws MissingPart */
export async function creationTime(registry: Registry, repository: Repository, manifest: Manifest): Promise<string | undefined> {
  return isoTime((await firstConfig(registry, repository, manifest))?.created);
}

/** The commit that it says it was built from: by its annotation, or its first platform's label. @throws MissingPart */
export async function revisionOf(registry: Registry, repository: Repository, manifest: Manifest): Promise<string | undefined> {
  const labels = async () => (await firstConfig(registry, repository, manifest))?.config?.Labels;
  return shortLabel(manifest.annotations?.[revisionKey] ?? (await labels())?.[revisionKey]);
}

/** Of its first platform; undefined for no image. @throws MissingPart */
async function firstConfig(registry: Registry, repository: Repository, manifest: Manifest): Promise<ImageConfig | undefined> {
  if (manifest.kind === 'index') {
    const first = manifest.manifests.find(isImageEntry);
    const child = first && (await registry.manifest(repository, first.digest));
    if (first && child === undefined) throw new MissingPart(repository, first.digest, manifest.digest);
    return child?.kind === 'manifest' ? firstConfig(registry, repository, child) : undefined;
  }
  if (manifest.kind === 'other' || otherThanImage(manifest) !== undefined) return undefined;
  return await configOf(registry, repository, manifest);
}

/**
 * Looks at every platform of an image. @param wanted platforms that it must have; empty: whatever it has
 * @param mostBytes of the layers that Docker and Trivy would fetch
 * @throws Refusal `NotAnImage`, `ImageTooLarge`, `PlatformMissing` or `DigestMismatch`; MissingPart
 */
export async function describeImage(
  registry: Registry,
  repository: Repository,
  manifest: Manifest,
  wanted: readonly string[],
  mostBytes: number = usualImageBytes,
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
      ? await imagesOfIndex({ name, registry, repository, index: manifest, wanted })
      : [await ownImage(registry, repository, manifest)];
  refuseMissingPlatforms(name, images, wanted);
  const meant = meantPlatforms(wanted, images);
  refuseLarge(name, meant, mostBytes);
  return {
    mediaType: manifest.mediaType,
    platforms: images.map(({ platform, manifest: { digest, config } }) => ({ platform, digest, config: config.digest })),
    // Compressed.
    size: images.flatMap(({ manifest: { config, layers } }) => [config, ...layers]).reduce((sum, { size }) => sum + size, 0),
    ...(await originOf(registry, repository, meant[0])),
  };
}

/** By the first of its images that is meant. */
async function originOf(
  registry: Registry,
  repository: Repository,
  first: PlatformImage | undefined,
): Promise<Pick<ImageDescription, 'created' | 'revision' | 'source'>> {
  const config = first && (first.config ?? (await configOf(registry, repository, first.manifest)));
  const labels = config?.config?.Labels ?? {};
  const created = isoTime(config?.created);
  const revision = shortLabel(labels[revisionKey]);
  const source = shortLabel(labels['org.opencontainers.image.source']);
  return {
    ...(created !== undefined && { created }),
    ...(revision !== undefined && { revision }),
    ...(source !== undefined && { source }),
  };
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

/** Before anything of it is fetched: a host's disk may be the one that Landfall's own state is on. */
function refuseLarge(name: string, images: readonly PlatformImage[], mostBytes: number): void {
  const layers = images.flatMap(({ manifest: { config, layers } }) => [config, ...layers]);
  // What several platforms share is fetched once.
  const bytes = [...new Map(layers.map(({ digest, size }) => [digest, size])).values()].reduce((sum, size) => sum + size, 0);
  if (bytes <= mostBytes) return;
  const inGiB = (amount: number) => (amount / 1024 ** 3).toFixed(amount < 1024 ** 3 ? 3 : 1);
  throw new Refusal(
    'ImageTooLarge',
    `${name} has ${inGiB(bytes)} GiB in its layers, compressed, expected at most ${inGiB(mostBytes)} GiB: make it smaller, ` +
      'set platforms of the service to those that it runs on, or raise verify.maxSize of the service',
    [{ bytes, mostBytes }],
  );
}

/** Go's zero time, which some builders write, is no time. */
function isoTime(text: string | null | undefined): string | undefined {
  const milliseconds = Date.parse(text ?? '');
  return Number.isNaN(milliseconds) || text?.startsWith('0001-') ? undefined : new Date(milliseconds).toISOString();
}

function shortLabel(label: string | undefined): string | undefined {
  return label === undefined || label === '' || label.length > longestLabel ? undefined : label;
}

/** An image whose platform only its own configuration says. @throws MissingPart */
async function ownImage(registry: Registry, repository: Repository, manifest: SingleManifest): Promise<PlatformImage> {
  const config = await configOf(registry, repository, manifest);
  return { platform: platformName(config), manifest, config };
}

/** @throws MissingPart */
async function configOf(registry: Registry, repository: Repository, { config, digest }: SingleManifest): Promise<ImageConfig> {
  const found = await registry.config(repository, config.digest);
  if (found === undefined) throw new MissingPart(repository, config.digest, digest);
  return found;
}

/** As far as the index itself says. */
function isImageEntry(entry: Descriptor): boolean {
  return imageTypes.includes(entry.mediaType) && !isForNoPlatform(entry);
}

/**
 * Every image of an index. Runtimes choose among the entries by platform alone, so whatever they could choose has to be an image, which
 * is then scanned; passed over is only what is for no platform and is no image either.
 * @throws Refusal `NotAnImage` if an entry is anything else, or two are for one platform; MissingPart
 */
async function imagesOfIndex(look: IndexQuery): Promise<PlatformImage[]> {
  const { name, index } = look;
  const { manifests } = index;
  const count = manifests.filter(isImageEntry).length;
  if (count > mostImages || manifests.length > mostEntries) {
    const found = count > mostImages ? `${count} images, expected at most ${mostImages}` : `${manifests.length} entries`;
    throw new Refusal('NotAnImage', `${name} is an index of ${found}; push it for fewer platforms`);
  }
  for (const entry of manifests) refuseEntry(look, entry);
  const images = await concurrently(manifests, requestsAtOnce, (entry) => imageOf(look, entry));
  const found = images.filter((image) => image !== undefined);
  if (found.length > 0) return withoutRivals(name, found);
  const types = [...new Set(manifests.map((entry) => entry.artifactType ?? entry.mediaType))].join(', ').slice(0, 300);
  throw new Refusal('NotAnImage', `${name} is an index without a container image; it lists ${types || 'nothing'}`);
}

/** What the index itself says. */
function refuseEntry(look: IndexQuery, entry: Descriptor): void {
  const { mediaType, platform } = entry;
  if (indexTypes.includes(mediaType)) throw refused(look, entry, 'an index within the index');
  if (isForNoPlatform(entry)) return;
  if (!imageTypes.includes(mediaType)) throw refused(look, entry, `something of type ${mediaType}`);
  // Docker fills in what is missing.
  if (platform && (platform.os === '') !== (platform.architecture === ''))
    throw refused(look, entry, 'an image for half a platform');
  // Docker 29 passes it over, and takes what is listed for another platform but is by itself for that of the host; Docker 20.10 takes it.
  if (entry.annotations?.[referenceType] !== undefined)
    throw refused(look, entry, 'an image for a platform that is marked as an attestation');
  // The same for what asks for features of the host, which only Windows has by itself.
  if (platform?.os.toLowerCase() !== 'windows' && (platform?.['os.features']?.length ?? 0) > 0)
    throw refused(look, entry, 'an image that asks for features of the system (os.features)');
}

/** @returns undefined for what no runtime can choose, and for a platform that is not wanted and was not copied with the others */
async function imageOf(look: IndexQuery, entry: Descriptor): Promise<PlatformImage | undefined> {
  const { registry, repository, index, wanted } = look;
  const { mediaType, digest } = entry;
  const isNobodys = isForNoPlatform(entry);
  if (isNobodys && !imageTypes.includes(mediaType)) return undefined;
  const platform = entry.platform?.os ? platformName(entry.platform) : undefined;
  const manifest = await registry.manifest(repository, digest);
  if (manifest === undefined) {
    const isWanted = wanted.length === 0 || platform === undefined || isMeant(wanted, platform);
    if (isWanted && !isNobodys) throw new MissingPart(repository, digest, index.digest);
    return undefined;
  }
  // Some runtimes go by the type that the index names, others by the manifest's own.
  const isSame = manifest.mediaType === mediaType;
  const other = isSame
    ? otherThanImage(manifest)
    : `something of type ${mediaType}, which is of type ${manifest.mediaType} itself`;
  if (isNobodys && other === undefined) throw refused(look, entry, 'an image that nobody could scan for a platform');
  if (isNobodys) return undefined;
  if (other !== undefined || manifest.kind !== 'manifest') throw refused(look, entry, other ?? manifest.mediaType);
  const image = platform === undefined ? await ownImage(registry, repository, manifest) : { platform, manifest };
  return { ...image, entry };
}

/** Which of two images for one platform runs is up to the runtime. One image may be listed twice. */
function withoutRivals(name: string, images: readonly PlatformImage[]): PlatformImage[] {
  const byTarget = new Map<string, PlatformImage>();
  for (const image of images) {
    const { platform, entry } = image;
    // Windows hosts choose by version as well.
    const isWindows = platform.startsWith('windows/');
    const version = isWindows && [entry?.platform?.['os.version'], entry?.platform?.['os.features']?.toSorted()];
    const target = JSON.stringify([platform, version]);
    const rival = byTarget.get(target);
    if (rival !== undefined && rival.manifest.digest !== image.manifest.digest) {
      throw new Refusal(
        'NotAnImage',
        `${name} is an index with two images for ${platform}, ${rival.manifest.digest} and ${image.manifest.digest}, ` +
          'and it is up to the runtime which of them runs; push it with one image for each platform',
      );
    }
    byTarget.set(target, image);
  }
  return [...byTarget.values()];
}

function refused({ name }: IndexQuery, { digest, platform }: Descriptor, found: string): Refusal {
  const of = platform?.os ? ` for ${platformName(platform)}` : '';
  return new Refusal(
    'NotAnImage',
    `${name} is an index that lists ${digest}${of}, expected a container image there, found ${found}: a runtime may start what ` +
      'was not scanned; build it again as an index of images alone, or with the attestations of BuildKit beside them',
  );
}
