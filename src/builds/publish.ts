import type { BuildOptions, BuildSource, BuildTarget, PushedBuild } from '../domain/build.ts';
import { Refusal } from '../domain/failures.ts';
import type { Repository, Tag } from '../domain/image-reference.ts';
import { MissingPart, revisionOf } from '../platform/registry/image-description.ts';
import { manifestTypes } from '../platform/registry/manifest.ts';
import type { Registry } from '../platform/registry/registry.ts';
import type { Uploads } from '../platform/registry/uploads.ts';
import type { Sources } from './checkout.ts';
import { indexOf, type PlatformManifests } from './layout.ts';

export interface Publication {
  readonly source: BuildSource;
  readonly target: BuildTarget;
  /** `force`: the tag is moved whatever it points to. With it, and where `latest` was asked for, no question is asked about `latest` either. */
  readonly options: Pick<BuildOptions, 'force' | 'movesLatest'>;
  /** All of them are in the registry by their digests. None, where the image has its tag already, and only `latest` is moved. */
  readonly entries: readonly PlatformManifests[];
}

interface PublishDependencies {
  readonly sources: Sources;
  readonly registry: Registry;
  readonly uploads: Uploads;
}

const latest = 'latest' as Tag;

/**
 * Gives an image its tags, as the last thing that is done: first the index by its digest, then the tag, then `latest`. Done again it finds its own work.
 * @returns what the tag points to, and what was moved to it; nothing was, where the tag came from somebody else meanwhile
 */
export async function publish(
  { source, target, options: { force = false, movesLatest: wantsLatest = false }, entries }: Publication,
  { sources, registry, uploads }: PublishDependencies,
): Promise<Omit<PushedBuild, 'kind'>> {
  const { image, tag, commit, movesLatest } = target;
  if (entries.length === 0) return await moveLatest(target, registry, uploads);
  const { bytes, digest } = indexOf(entries, commit);
  const now = await registry.resolve(image, tag);
  // One that is there is only replaced by force.
  if (now !== undefined && now !== digest && !force) return { digest: now, tags: [] };
  await uploads.manifest(image, digest, bytes, manifestTypes.ociIndex);
  await uploads.manifest(image, tag, bytes, manifestTypes.ociIndex);
  if (!movesLatest) return { digest, tags: [tag] };
  const standing = force || wantsLatest ? undefined : await revisionOfLatest(registry, image);
  if (standing !== undefined && (await sources.isBefore(source, commit, standing)))
    return { digest, tags: [tag], newerLatest: standing };
  await uploads.manifest(image, latest, bytes, manifestTypes.ociIndex);
  return { digest, tags: [tag, latest] };
}

/** To what the tag points to. Done again it answers the same, so that whoever follows `latest` is told. */
async function moveLatest({ image, tag }: BuildTarget, registry: Registry, uploads: Uploads): Promise<Omit<PushedBuild, 'kind'>> {
  const found = await registry.rawManifest(image, tag);
  if (found === undefined)
    throw new Refusal(
      'BuildRefused',
      `expected ${image}:${tag} to be in the registry, as it was before, found nothing: start it again`,
    );
  const { manifest, bytes } = found;
  await uploads.manifest(image, latest, bytes, manifest.mediaType);
  return { digest: manifest.digest, tags: [latest] };
}

/** The commit that `latest` was built from; undefined where it does not say, or is nothing that can be read: that keeps nobody from moving it. */
async function revisionOfLatest(registry: Registry, image: Repository): Promise<string | undefined> {
  try {
    const found = await registry.manifest(image, latest);
    return found && (await revisionOf(registry, image, found));
  } catch (error) {
    if (error instanceof MissingPart || (error instanceof Refusal && error.type === 'NotAnImage')) return undefined;
    throw error;
  }
}
