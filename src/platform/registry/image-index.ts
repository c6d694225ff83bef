import { concurrently } from '../../domain/concurrently.ts';
import { Refusal } from '../../domain/failures.ts';
import { formatReference, type Repository } from '../../domain/image-reference.ts';
import { isForNoPlatform, otherThanImage } from './artifact-kind.ts';
import { type Descriptor, type IndexManifest, type Manifest, manifestTypes } from './manifest.ts';
import { isMeant, platformName } from './platform.ts';
import { MissingPart, ownImage, type PlatformImage } from './platform-image.ts';
import type { Registry } from './registry.ts';

export interface IndexQuery {
  readonly registry: Registry;
  readonly repository: Repository;
  readonly index: IndexManifest;
  /** Platforms that the image must have; empty: whatever it has. */
  readonly wanted: readonly string[];
}

/** An image of an index, with the entry that lists it. */
interface ListedPlatform extends PlatformImage {
  readonly entry: Descriptor;
}

const requestsAtOnce = 4;
/** Each is a request, a scan and a line of history; the largest official images have some twenty. */
const mostImages = 64;
/** With what is listed beside the images. */
const mostEntries = 4 * mostImages;
const imageTypes: readonly string[] = [manifestTypes.ociImage, manifestTypes.dockerImage];
const advice = 'build it again as an index of images alone, or with the attestations of BuildKit beside them';

/** Whether an entry of an index is an image, as far as the index itself says. */
export function isImageEntry(entry: Descriptor): boolean {
  return imageTypes.includes(entry.mediaType) && !isForNoPlatform(entry);
}

/**
 * Every image of an index. Runtimes choose among the entries by platform alone, so whatever they could choose has to be an image, which
 * is then scanned; passed over is only what is for no platform and is no image either.
 * @throws Refusal `NotAnImage` if an entry is anything else, or two are for one platform; MissingPart
 */
export async function imagesOfIndex(look: IndexQuery): Promise<PlatformImage[]> {
  const { index } = look;
  const name = nameOf(look);
  const count = index.manifests.filter(isImageEntry).length;
  if (count > mostImages || index.manifests.length > mostEntries) {
    const found = count > mostImages ? `${count} images, expected at most ${mostImages}` : `${index.manifests.length} entries`;
    throw new Refusal('NotAnImage', `${name} is an index of ${found}; push it for fewer platforms`);
  }
  for (const entry of index.manifests) refuseEntry(look, entry);
  const images = await concurrently(index.manifests, requestsAtOnce, (entry) => imageOf(look, entry));
  const found = images.filter((image) => image !== undefined);
  if (found.length > 0) return withoutRivals(look, found);
  const types = [...new Set(index.manifests.map((entry) => entry.artifactType ?? entry.mediaType))].join(', ').slice(0, 300);
  throw new Refusal('NotAnImage', `${name} is an index without a container image; it lists ${types || 'nothing'}`);
}

/** What the index itself says. */
function refuseEntry(look: IndexQuery, entry: Descriptor): void {
  const { mediaType, platform } = entry;
  if (mediaType === manifestTypes.ociIndex || mediaType === manifestTypes.dockerIndex) {
    throw refused(look, entry, 'an index within the index');
  }
  if (isForNoPlatform(entry)) return;
  if (!imageTypes.includes(mediaType)) throw refused(look, entry, `something of type ${mediaType}`);
  // Docker fills in what is missing.
  if (platform && (platform.os === '') !== (platform.architecture === ''))
    throw refused(look, entry, 'an image for half a platform');
}

/** @returns undefined for what no runtime can choose, and for a platform that is not wanted and was not copied with the others */
async function imageOf(look: IndexQuery, entry: Descriptor): Promise<ListedPlatform | undefined> {
  const { registry, repository, index, wanted } = look;
  const isNobodys = isForNoPlatform(entry);
  if (isNobodys && !imageTypes.includes(entry.mediaType)) return undefined;
  const platform = entry.platform?.os ? platformName(entry.platform) : undefined;
  const manifest = await registry.manifest(repository, entry.digest);
  if (manifest === undefined) {
    const isWanted = wanted.length === 0 || platform === undefined || isMeant(wanted, platform);
    if (isWanted && !isNobodys) throw new MissingPart(repository, entry.digest, index.digest);
    return undefined;
  }
  const other = otherThanEntry(entry, manifest) ?? otherThanImage(manifest);
  if (isNobodys && other === undefined) throw refused(look, entry, 'an image that nobody could scan for a platform');
  if (isNobodys) return undefined;
  if (other !== undefined || manifest.kind !== 'manifest') throw refused(look, entry, other ?? manifest.mediaType);
  const image = platform === undefined ? await ownImage(registry, repository, manifest) : { platform, manifest };
  return { ...image, entry };
}

/** Some runtimes go by the type that the index names, others by the manifest's own. */
function otherThanEntry({ mediaType }: Descriptor, manifest: Manifest): string | undefined {
  if (manifest.mediaType === mediaType) return undefined;
  return `something of type ${mediaType}, which is of type ${manifest.mediaType} itself`;
}

/** Which of two images for one platform runs is up to the runtime. One image may be listed twice. */
function withoutRivals(look: IndexQuery, images: readonly ListedPlatform[]): PlatformImage[] {
  const byTarget = new Map<string, ListedPlatform>();
  for (const image of images) {
    const target = targetOf(image);
    const rival = byTarget.get(target);
    if (rival !== undefined && rival.manifest.digest !== image.manifest.digest) {
      const both = `${rival.manifest.digest} and ${image.manifest.digest}`;
      throw new Refusal(
        'NotAnImage',
        `${nameOf(look)} is an index with two images for ${image.platform}, ${both}, and it is up to the runtime which of them runs; ` +
          'push it with one image for each platform',
      );
    }
    byTarget.set(target, image);
  }
  return [...byTarget.values()].map(({ entry: _, ...image }) => image);
}

/** Windows hosts choose by version as well. */
function targetOf({ platform, entry }: ListedPlatform): string {
  if (!platform.startsWith('windows/')) return platform;
  return JSON.stringify([platform, entry.platform?.['os.version'], entry.platform?.['os.features']?.toSorted()]);
}

function refused(look: IndexQuery, { digest, platform }: Descriptor, found: string): Refusal {
  const of = platform?.os ? ` for ${platformName(platform)}` : '';
  return new Refusal(
    'NotAnImage',
    `${nameOf(look)} is an index that lists ${digest}${of}, expected a container image there, found ${found}: a runtime may ` +
      `start what was not scanned; ${advice}`,
  );
}

function nameOf({ repository, index }: IndexQuery): string {
  return formatReference({ repository, digest: index.digest });
}
