import type { Digest, Repository } from '../../domain/image-reference.ts';
import type { PlatformDigests } from '../../domain/outcomes.ts';
import { describeImage } from './image-description.ts';
import type { Registry } from './registry.ts';

/** In which repository, and for which platforms (`os/arch`); none: all that there are. */
interface ImageQuery {
  readonly registry: Registry;
  readonly repository: Repository;
  readonly platforms: readonly string[];
}

/**
 * Whether two digests name one image. A node that has an image by several indexes names any of them, and each build makes another index where it
 * attests something: what counts is the configuration, which names all layers.
 * @param own all that are known to name ours; at least one
 */
export async function isSameImage(query: ImageQuery, found: Digest, own: readonly Digest[]): Promise<boolean> {
  const [foundDigests, ownDigests] = await Promise.all([platformsOf(query, found), platformsOf(query, own[0])]);
  const ours = new Set([...own, ...ownDigests.flatMap(digestsOf)]);
  return foundDigests.length > 0 && foundDigests.every((platform) => digestsOf(platform).some((digest) => ours.has(digest)));
}

async function platformsOf({ registry, repository, platforms }: ImageQuery, digest: Digest | undefined) {
  const manifest = digest && (await registry.manifest(repository, digest));
  return manifest === undefined ? [] : (await describeImage(registry, repository, manifest, platforms)).platforms;
}

/** By which a runtime may call the image of a platform: of its manifest, and of its configuration. */
export function digestsOf({ digest, config }: PlatformDigests): Digest[] {
  return config === undefined ? [digest] : [digest, config];
}
