import { Refusal } from '../../../domain/failures.ts';
import type { Digest } from '../../../domain/image-reference.ts';
import type { PlatformDigests, VerifiedImage } from '../../../domain/outcomes.ts';
import type { Plan } from '../../../domain/plan.ts';
import type { ContainerStatus } from '../../../platform/kubernetes/objects.ts';
import { runningDigest } from '../../../platform/kubernetes/pods.ts';
import { describeImage } from '../../../platform/registry/image-description.ts';
import { meantPlatforms } from '../../../platform/registry/platform.ts';
import type { Registry } from '../../../platform/registry/registry.ts';
import { referenceOf } from '../../check.ts';

interface ProofRequest {
  readonly plan: Plan;
  readonly image: VerifiedImage;
  readonly registry: Registry;
}

/** Says of a container whether it runs the image: by the digest of its index, of its manifest or of its configuration. @throws Refusal `DigestMismatch` */
export function createProof(request: ProofRequest): (status: ContainerStatus) => Promise<void> {
  const { plan, image } = request;
  const proven = new Set([image.digest, ...meantPlatforms(plan.platforms, image.platforms).flatMap(digestsOf)]);
  return async (status) => {
    const found = runningDigest(status);
    if (found === undefined) throw new Error(`expected Kubernetes to tell which image its pod runs, found '${status.imageID}'`);
    if (!proven.has(found) && !(await isSameImage(request, found, proven))) {
      const message = `expected the pod to run ${referenceOf(image)}, found ${status.imageID}: see what its node has of that image, then retry`;
      throw new Refusal('DigestMismatch', message);
    }
    proven.add(found);
  };
}

/**
 * A node that has one image by several indexes names any of them, and each build makes another index where it attests something: what counts is
 * the configuration, which names all layers.
 */
async function isSameImage({ registry, plan, image }: ProofRequest, found: Digest, own: ReadonlySet<Digest>): Promise<boolean> {
  const manifest = await registry.manifest(image.repository, found);
  if (manifest === undefined) return false;
  const { platforms } = await describeImage(registry, image.repository, manifest, plan.platforms);
  return platforms.every((platform) => digestsOf(platform).some((digest) => own.has(digest)));
}

function digestsOf({ digest, config }: PlatformDigests): Digest[] {
  return config === undefined ? [digest] : [digest, config];
}
