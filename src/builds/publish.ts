import type { BuildTarget } from '../domain/build.ts';
import type { Digest, Tag } from '../domain/image-reference.ts';
import { type Descriptor, manifestTypes } from '../platform/registry/manifest.ts';
import type { Registry } from '../platform/registry/registry.ts';
import type { Uploads } from '../platform/registry/uploads.ts';
import { indexOf } from './layout.ts';

export interface Publication {
  readonly target: BuildTarget;
  /** The tag is moved whatever it points to. */
  readonly force: boolean;
  /** All of them are in the registry by their digests. */
  readonly entries: readonly { readonly image: Descriptor; readonly attestation?: Descriptor }[];
  /** What the tag pointed to when the build began. */
  readonly before?: Digest;
}

/**
 * Gives an image its tags, as the last thing that is done: first the index by its digest, then the tag, then `latest`. Done again it finds its own work.
 * @returns what the tag points to, and what was moved to it; nothing was, where the tag came from somebody else meanwhile
 */
export async function publish(
  { target, force, entries, before }: Publication,
  { registry, uploads }: { readonly registry: Registry; readonly uploads: Uploads },
): Promise<{ digest: Digest; tags: Tag[] }> {
  const { image, tag, movesLatest } = target;
  const { bytes, digest } = indexOf(entries);
  const now = await registry.resolve(image, tag);
  // One that was there before is only replaced by force, which was asked for then.
  if (now !== undefined && now !== digest && !force && now !== before) return { digest: now, tags: [] };
  await uploads.manifest(image, digest, bytes, manifestTypes.ociIndex);
  const tags = [tag, ...(movesLatest ? ['latest' as Tag] : [])];
  for (const each of tags) await uploads.manifest(image, each, bytes, manifestTypes.ociIndex);
  return { digest, tags };
}
