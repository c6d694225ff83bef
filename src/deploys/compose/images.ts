import type Docker from 'dockerode';
import { formatReference, type ImageReference, registryOf, tryParseReference } from '../../domain/image-reference.ts';
import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import { findImage } from '../../platform/docker/container.ts';
import { isMissing } from '../../platform/docker/errors.ts';
import { type Credentials, ensureImage } from '../../platform/docker/images.ts';
import { safeName } from '../../platform/files/safe-name.ts';
import { runs } from '../docker/digests.ts';
import { failed } from './refusals.ts';
import type { DeployedService } from './services.ts';

export interface ImageSource {
  readonly docker: Docker;
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  readonly now: () => Date;
}

/** Makes sure that the image is on the host, by digest. @throws Refusal `PlatformMissing`, `CredentialsRefused`; RateLimit */
export async function pullImage(
  { docker, credentials, now }: ImageSource,
  { repository, digest }: Pick<ImageIdentity, 'repository' | 'digest'>,
  signal: AbortSignal,
): Promise<void> {
  const { Os, Arch } = await docker.version();
  await ensureImage(docker, formatReference({ repository, digest }), {
    platform: `${Os}/${Arch}`,
    credentials: () => credentials(registryOf(repository)),
    signal,
    now,
  });
}

const keepRepository = 'landfall/keep';

/** The local tag by which the image that a service ran before is kept. */
export function keepTag(service: string, stage: string, composeService: string): string {
  return `${keepRepository}:${safeName(service, stage, composeService)}`;
}

/**
 * Tags what the services run, other than the wanted image: once its container is gone, an image without a tag would be taken by the next
 * `docker image prune`, and nothing could be brought back without the registry. The tag moves on at the next deploy.
 */
export async function keepImages(
  docker: Docker,
  services: readonly DeployedService[],
  wanted: ImageIdentity,
  tagOf: (service: string) => string,
): Promise<void> {
  for (const { name, containers } of services) {
    const before = containers.find(({ container, image }) => image !== undefined && !runs(container, image, wanted));
    if (before === undefined) continue;
    const tag = tagOf(name).slice(keepRepository.length + 1);
    await docker.getImage(before.container.Image).tag({ repo: keepRepository, tag }).catch(unlessMissing);
  }
}

/** Somebody removed the image by force; it is on its own. */
function unlessMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

/**
 * How to name what ran before in a compose file: as it was named where that pins it, else by digest, else by the local id. Whatever it
 * is, it is on this host: only where the image is gone from here, it is pulled.
 * @throws Refusal `DeployFailed` if it is gone and nobody knows its digest
 */
export async function nameOfBefore(
  source: ImageSource,
  before: RunningImage,
  wanted: ImageIdentity,
  signal: AbortSignal,
): Promise<string> {
  const { reference, digest, imageId } = before;
  const named = tryParseReference(reference);
  const byDigest: ImageReference[] =
    digest === undefined
      ? []
      : [...(named === undefined ? [] : [{ ...named, digest }]), { repository: wanted.repository, digest }];
  const written = named?.digest !== undefined && named.digest === digest ? [reference] : [];
  const candidates = [...written, ...byDigest.map(formatReference)];
  for (const candidate of candidates) {
    const image = await findImage(source.docker, candidate);
    if (image !== undefined && (imageId === undefined || image.Id === imageId)) return candidate;
  }
  if (imageId !== undefined && (await findImage(source.docker, imageId)) !== undefined) return imageId;
  const [first] = byDigest;
  if (first?.digest === undefined) {
    throw failed(
      `expected the image of ${before.name} that ran before (${reference}), but it is gone from this host, and no registry knows it by a ` +
        'digest: bring it back by hand, or deploy another image',
      { before },
    );
  }
  await pullImage(source, { repository: first.repository, digest: first.digest }, signal);
  return formatReference(first);
}
