import { Refusal } from '../../../domain/failures.ts';
import type { VerifiedImage } from '../../../domain/outcomes.ts';
import type { Plan } from '../../../domain/plan.ts';
import type { ContainerStatus } from '../../../platform/kubernetes/objects.ts';
import { runningDigest } from '../../../platform/kubernetes/pods.ts';
import { meantPlatforms } from '../../../platform/registry/platform.ts';
import type { Registry } from '../../../platform/registry/registry.ts';
import { digestsOf, isSameImage } from '../../../platform/registry/same-image.ts';
import { referenceOf } from '../../check.ts';

interface ProofRequest {
  readonly plan: Plan;
  readonly image: VerifiedImage;
  readonly registry: Registry;
}

/** Says of a container whether it runs the image: by the digest of its index, of its manifest or of its configuration. @throws Refusal `DigestMismatch` */
export function createProof(request: ProofRequest): (status: ContainerStatus) => Promise<void> {
  const { plan, image, registry } = request;
  const proven = new Set([image.digest, ...meantPlatforms(plan.platforms, image.platforms).flatMap(digestsOf)]);
  return async (status) => {
    const found = runningDigest(status);
    if (found === undefined) throw new Error(`expected Kubernetes to tell which image its pod runs, found '${status.imageID}'`);
    const query = { registry, repository: image.repository, platforms: plan.platforms };
    if (!proven.has(found) && !(await isSameImage(query, found, [image.digest, ...proven]))) {
      const message = `expected the pod to run ${referenceOf(image)}, found ${status.imageID}: see what its node has of that image, then retry`;
      throw new Refusal('DigestMismatch', message);
    }
    proven.add(found);
  };
}
