import type { BuildOptions, BuildSource, BuildTarget, PushedBuild } from '../domain/build.ts';
import { Refusal } from '../domain/failures.ts';
import type { Digest, Repository, Tag } from '../domain/image-reference.ts';
import { MissingPart, revisionOf } from '../platform/registry/image-description.ts';
import { manifestTypes } from '../platform/registry/manifest.ts';
import type { Registry } from '../platform/registry/registry.ts';
import type { Uploads } from '../platform/registry/uploads.ts';
import { createTurns } from '../platform/turns.ts';
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
  readonly sources: Pick<Sources, 'isBefore'>;
  readonly registry: Registry;
  readonly uploads: Uploads;
}

const latest = 'latest' as Tag;
/** Whoever moves `latest` that often while git is asked will do so again. */
const mostLooks = 10;

export type Publish = ReturnType<typeof createPublish>;

export function createPublish({ sources, registry, uploads }: PublishDependencies) {
  /** By image: what is decided about its `latest` still holds when it is done. */
  const inTurn = createTurns();

  /** Unless it is of a newer commit. @returns that commit, where it stays */
  async function moveLatest({ source, target: { image, commit } }: Publication, bytes: Buffer): Promise<string | undefined> {
    for (let looks = 0; looks < mostLooks; looks += 1) {
      const standing = await ifReadable(() => registry.resolve(image, latest));
      const revision = standing && (await ifReadable(() => revisionAt(registry, image, standing)));
      if (revision !== undefined && (await sources.isBefore(source, commit, revision))) return revision;
      // git may have taken minutes, and another worker has moved it meanwhile.
      if ((await ifReadable(() => registry.resolve(image, latest))) !== standing) continue;
      await uploads.manifest(image, latest, bytes, manifestTypes.ociIndex);
      return undefined;
    }
    throw new Error(`latest of ${image} was moved ${mostLooks} times while it was looked at; it is tried again`);
  }

  /** To what the tag points to. Done again it answers the same, so that whoever follows `latest` is told. */
  async function moveLatestAlone({ image, tag }: BuildTarget): Promise<Omit<PushedBuild, 'kind'>> {
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

  /**
   * Gives an image its tags, as the last thing that is done: first the index by its digest, then the tag, then `latest`. Done again it finds its own
   * work.
   * @returns what the tag points to, and what was moved to it; nothing was, where the tag came from somebody else meanwhile
   */
  return async (publication: Publication): Promise<Omit<PushedBuild, 'kind'>> => {
    const { target, options, entries } = publication;
    const { force = false, movesLatest: wantsLatest = false } = options;
    const { image, tag, commit, movesLatest } = target;
    if (entries.length === 0) return await inTurn(image, () => moveLatestAlone(target));
    const { bytes, digest } = indexOf(entries, commit);
    const now = await registry.resolve(image, tag);
    // One that is there is only replaced by force.
    if (now !== undefined && now !== digest && !force) return { digest: now, tags: [] };
    await uploads.manifest(image, digest, bytes, manifestTypes.ociIndex);
    await uploads.manifest(image, tag, bytes, manifestTypes.ociIndex);
    if (!movesLatest) return { digest, tags: [tag] };
    const newerLatest = await inTurn(image, async () => {
      if (!force && !wantsLatest) return await moveLatest(publication, bytes);
      await uploads.manifest(image, latest, bytes, manifestTypes.ociIndex);
      return undefined;
    });
    return newerLatest === undefined ? { digest, tags: [tag, latest] } : { digest, tags: [tag], newerLatest };
  };
}

/** The commit that an image was built from; undefined where it does not say. */
async function revisionAt(registry: Registry, image: Repository, digest: Digest): Promise<string | undefined> {
  const found = await registry.manifest(image, digest);
  return found && (await revisionOf(registry, image, found));
}

/** What `latest` is if it is nothing that can be read keeps nobody from moving it. */
async function ifReadable<Found>(read: () => Promise<Found | undefined>): Promise<Found | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof MissingPart || (error instanceof Refusal && error.type === 'NotAnImage')) return undefined;
    throw error;
  }
}
