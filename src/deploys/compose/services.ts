import type Docker from 'dockerode';
import { formatReference, type ImageReference, tryParseReference } from '../../domain/image-reference.ts';
import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import { findImage, isMadeByCompose } from '../../platform/docker/container.ts';
import { isMissing } from '../../platform/docker/errors.ts';
import { safeName } from '../../platform/files/safe-name.ts';
import { type ContainerWithImage, runningImage, runs, runsPrevious, withImage } from '../docker/digests.ts';
import { findContainer } from '../docker/slot.ts';
import { pullImage } from '../kit/docker.ts';
import { failed } from '../kit/refusals.ts';
import type { ComposeContext } from './context.ts';

/** A service of a compose project with its containers: several if it is scaled, none if it never ran. */
export interface DeployedService {
  readonly name: string;
  /** Those that run first. */
  readonly containers: readonly ContainerWithImage[];
}

/** @param project as Compose names it */
export async function findServices(docker: Docker, project: string, names: readonly string[]): Promise<DeployedService[]> {
  return await Promise.all(
    names.map(async (name) => {
      const label = [
        `com.docker.compose.project=${project}`,
        `com.docker.compose.service=${name}`,
        // Not those of `docker compose run`.
        'com.docker.compose.oneoff=False',
      ];
      const listed = await docker.listContainers({ all: true, filters: { label } });
      const found = await Promise.all(listed.map(({ Id }) => findContainer(docker, Id)));
      const members = await Promise.all(found.flatMap((container) => (container ? [withImage(docker, container)] : [])));
      // A container of another image that only says so must not pass for one of the service.
      const own = members.filter(({ container, image }) => isMadeByCompose(container.Config.Labels, image?.Config?.Labels));
      return { name, containers: own.sort((a, b) => Number(isUp(b)) - Number(isUp(a))) };
    }),
  );
}

function isUp({ container: { State } }: ContainerWithImage): boolean {
  return State.Running && !State.Restarting && !State.Paused;
}

/** By the digest that the registry knows the image by, never by its local id. */
export function isDeployed({ containers }: DeployedService, wanted: ImageIdentity): boolean {
  return containers.length > 0 && containers.every((member) => isUp(member) && runs(member, wanted));
}

export function runsPreviousImage({ containers }: DeployedService, before: RunningImage): boolean {
  return containers.length > 0 && containers.every((member) => isUp(member) && runsPrevious(member, before));
}

/**
 * What the services run; a stopped one is told too, because it is what there is to go back to. Where the containers of a service differ
 * (a deploy was cut off), one that does not run the wanted image: that is the one that ran before.
 */
export function runningImages(services: readonly DeployedService[], wanted: ImageIdentity): RunningImage[] {
  return services.flatMap(({ name, containers }) => {
    const member = containers.find((each) => !runs(each, wanted)) ?? containers[0];
    return member === undefined ? [] : [runningImage(name, member, wanted)];
  });
}

/**
 * Puts right what a Compose that was killed, or lost its daemon, left while it was replacing a container: `ID_NAME`, created and never
 * started. Beside the container that it was to replace it is removed, as the next `up` would fail over that name. Where that one is gone
 * already, the next `up` starts it, but leaves it its name: it gets the right one here. Volumes stay: they are those of the replaced one.
 */
export async function mendInterrupted(docker: Docker, services: readonly DeployedService[]): Promise<void> {
  for (const { containers } of services) {
    const ids = containers.map(({ container }) => container.Id.slice(0, 12));
    const names = containers.map(({ container }) => container.Name);
    for (const { container } of containers) {
      const [, replaced = '', name = ''] = /^\/([0-9a-f]{12})_(.+)/.exec(container.Name) ?? [];
      const interrupted = docker.getContainer(container.Id);
      if (container.State.Status === 'created' && ids.includes(replaced)) {
        await interrupted.remove({ v: false }).catch(unlessMissing);
      } else if (name !== '' && !ids.includes(replaced) && !names.includes(`/${name}`)) {
        await interrupted.rename({ name }).catch(unlessMissing);
      }
    }
  }
}

function unlessMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

/** `recreated shop-web-1, shop-web-2` */
export function recreated(services: readonly DeployedService[]): string {
  const names = services.flatMap(({ containers }) => containers.map(({ container }) => container.Name.slice(1)));
  return `recreated ${names.sort().join(', ')}`;
}

/**
 * Tags what the services run, other than the wanted image: once its container is gone, an image without a tag would be taken by the next
 * `docker image prune`, and nothing could be brought back without the registry. The tag moves on at the next deploy.
 */
export async function keepImages({ docker, target }: ComposeContext, services: readonly DeployedService[]): Promise<void> {
  for (const { name, containers } of services) {
    const before = containers.find((each) => each.image !== undefined && !runs(each, target.image));
    if (before === undefined) continue;
    // Another Landfall on this daemon may have a service of the same name, but not in the same place.
    const tag = safeName(target.plan.service, target.stage.name, name, target.deploy.directory);
    // Somebody may have removed the image by force; it is on its own.
    await docker.getImage(before.container.Image).tag({ repo: 'landfall/keep', tag }).catch(unlessMissing);
  }
}

/**
 * How to name what ran before in a compose file: as it was named where that pins it, else by digest, else by the local id. Whatever it
 * is, it is on this host: only where the image is gone from here, it is pulled.
 * @throws Refusal `DeployFailed` if it is gone and nobody knows its digest
 */
export async function nameOfBefore(context: ComposeContext, before: RunningImage, signal: AbortSignal): Promise<string> {
  const { docker, target } = context;
  const { reference, digest, imageId } = before;
  const named = tryParseReference(reference);
  const byDigest: (ImageReference & Pick<ImageIdentity, 'digest'>)[] =
    digest === undefined
      ? []
      : [...(named === undefined ? [] : [{ ...named, digest }]), { repository: target.image.repository, digest }];
  const written = named?.digest !== undefined && named.digest === digest ? [reference] : [];
  for (const candidate of [...written, ...byDigest.map(formatReference)]) {
    const image = await findImage(docker, candidate);
    if (image !== undefined && (imageId === undefined || image.Id === imageId)) return candidate;
  }
  if (imageId !== undefined && (await findImage(docker, imageId)) !== undefined) return imageId;
  const [first] = byDigest;
  if (first === undefined) {
    throw failed(
      `expected the image of ${before.name} that ran before (${reference}), but it is gone from this host, and no registry knows it by a ` +
        'digest: bring it back by hand, or deploy another image',
      [{ before }],
    );
  }
  await pullImage(context, first, signal);
  return formatReference(first);
}
