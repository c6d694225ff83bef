import type { VerifyActivities, VerifyInput } from '../contracts/activities/checks.ts';
import { type Digest, formatReference } from '../domain/image-reference.ts';
import type { ConfirmOutcome, RateLimited, VerifyOutcome } from '../domain/outcomes.ts';
import { describeImage, MissingPart } from '../platform/registry/image-description.ts';
import type { Manifest } from '../platform/registry/manifest.ts';
import type { Registry } from '../platform/registry/registry.ts';
import { answering, leaveWhenCancelled } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';
import { type NotFoundWindow, notInRegistry, retryWithinWindow, windowOf } from './not-in-registry.ts';

export function createVerify({
  registry,
  ...options
}: Pick<Dependencies, 'registry' | 'notFoundForMs' | 'now'>): VerifyActivities {
  const window = windowOf(options);
  const withinWindow = <Outcome>(act: (registry: Registry, window: NotFoundWindow, input: VerifyInput) => Promise<Outcome>) =>
    answering((input: VerifyInput) =>
      leaveWhenCancelled(async () => {
        try {
          return await act(registry, window, input);
        } catch (error) {
          throw retryWithinWindow(error, window);
        }
      }),
    );
  return { verify: withinWindow(verifyImage), confirm: withinWindow(confirmImage) };
}

async function verifyImage(
  registry: Registry,
  window: NotFoundWindow,
  { plan, image, byDigest, named }: VerifyInput,
): Promise<Exclude<VerifyOutcome, RateLimited>> {
  const { repository, tag, digest } = image;
  const tagged = byDigest ? undefined : await registry.manifest(repository, tag);
  const isTagged = tagged !== undefined && belongsTo(digest, tagged);
  const manifest = byDigest || (named && !isTagged) ? await registry.manifest(repository, digest) : tagged;
  if (manifest === undefined) throw notInRegistry(formatReference(byDigest || named ? image : { repository, tag }), window);
  if (!belongsTo(digest, manifest)) return { kind: 'moved', digest: manifest.digest };
  const tagIs = tagged !== undefined && !isTagged ? { tagIs: tagged.digest } : {};
  try {
    const description = await describeImage(registry, repository, manifest, plan.platforms, plan.mostImageBytes);
    return { kind: 'verified', image: { repository, tag, digest: manifest.digest, ...description }, ...tagIs };
  } catch (error) {
    throw error instanceof MissingPart ? notInRegistry(error.part, window) : error;
  }
}

/** GitHub and others send one event for each manifest of a multi-platform push, so the digest may be that of a child. */
function belongsTo(digest: Digest, manifest: Manifest): boolean {
  if (manifest.digest === digest) return true;
  return manifest.kind === 'index' && manifest.manifests.some((child) => child.digest === digest);
}

async function confirmImage(
  registry: Registry,
  window: NotFoundWindow,
  { image: { repository, tag, digest } }: VerifyInput,
): Promise<Exclude<ConfirmOutcome, RateLimited>> {
  if ((await registry.resolve(repository, tag)) === digest) return { kind: 'confirmed' };
  // Some registries name another digest for HEAD than what they give: the content counts.
  const current = await registry.manifest(repository, tag);
  if (current === undefined) throw notInRegistry(formatReference({ repository, tag }), window);
  return current.digest === digest ? { kind: 'confirmed' } : { kind: 'moved', digest: current.digest };
}
