import type Docker from 'dockerode';
import { formatReference, parseReference, registryOf } from '../../domain/image-reference.ts';
import type { CleanUpLater } from '../docker/clean-up.ts';
import { explainUnreachable } from '../docker/errors.ts';
import { type Credentials, ensureImage, type Images } from '../docker/images.ts';
import type { ComposeProject } from './project.ts';

export interface ImageNeeds {
  readonly docker: Docker;
  /** Those of this worker: the candidate is given back to them. */
  readonly images: Images;
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  readonly now: () => Date;
  readonly later: CleanUpLater;
  readonly signal: AbortSignal;
}

/**
 * Makes sure that the candidate and the images of all other services are there, pulled with Landfall's credentials. The candidate goes
 * again in the end if it was not there before; what the other services need stays for the next check.
 * @param candidate `repository@digest`
 * @throws what a pull throws: Refusal, RateLimit, or an ordinary error
 */
export async function takeImages(needs: ImageNeeds, candidate: string, project: ComposeProject): Promise<void> {
  const { docker, images, credentials, now, later, signal } = needs;
  const platform = await daemonPlatform(docker);
  const optionsOf = (reference: string) => {
    const registry = registryOf(parseReference(reference).repository);
    return { platform, credentials: () => credentials(registry), signal, now };
  };
  later(`remove image ${candidate}`, () => images.giveBack(candidate), { isAwaited: false });
  await images.take(candidate, optionsOf(candidate));
  // Compose itself builds what is built, and pulls what is for another platform.
  const others = Object.values(project.services).flatMap(({ image, build, platform: own }) =>
    image === undefined || image === candidate || build !== undefined || own !== undefined ? [] : [image],
  );
  for (const image of new Set(others)) {
    const reference = formatReference(withTag(parseReference(image)));
    await ensureImage(docker, reference, optionsOf(reference));
  }
}

function withTag(reference: ReturnType<typeof parseReference>): ReturnType<typeof parseReference> {
  if (reference.tag !== undefined || reference.digest !== undefined) return reference;
  return parseReference(`${reference.repository}:latest`);
}

async function daemonPlatform(docker: Docker): Promise<string> {
  try {
    const { Os, Arch } = await docker.version();
    return `${Os}/${Arch}`;
  } catch (error) {
    throw explainUnreachable(error);
  }
}
