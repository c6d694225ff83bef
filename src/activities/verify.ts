import type { VerifyActivities, VerifyInput } from '../contracts/activities/checks.ts';
import { type Digest, formatReference } from '../domain/image-reference.ts';
import type { ConfirmOutcome, RateLimited, VerifyOutcome } from '../domain/outcomes.ts';
import { describeImage, MissingPart } from '../platform/registry/image-description.ts';
import type { Manifest } from '../platform/registry/manifest.ts';
import type { Registry } from '../platform/registry/registry.ts';
import { answering, leaveWhenCancelled } from './boundary.ts';
import { defaultNotFoundForMs, type NotFoundWindow, notInRegistry, retryWithinWindow } from './not-in-registry.ts';

export interface VerifyDependencies {
  readonly registry: Registry;
  /** How long "not found" is tried again, from the first attempt on; two minutes. */
  readonly notFoundForMs?: number;
  readonly now?: () => Date;
}

export function createVerify({
  registry,
  notFoundForMs = defaultNotFoundForMs,
  now = () => new Date(),
}: VerifyDependencies): VerifyActivities {
  const window: NotFoundWindow = { notFoundForMs, now };
  const withinWindow = <Outcome>(act: () => Promise<Outcome>) =>
    leaveWhenCancelled(async () => {
      try {
        return await act();
      } catch (error) {
        throw retryWithinWindow(error, window);
      }
    });
  return {
    verify: answering((input: VerifyInput) => withinWindow(() => verifyImage(registry, window, input))),
    confirm: answering((input: VerifyInput) => withinWindow(() => confirmImage(registry, window, input))),
  };
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
    const description = await describeImage(registry, repository, manifest, plan.platforms);
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
