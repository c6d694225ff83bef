import type Docker from 'dockerode';
import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import { type Container, findImage, type Image } from '../../platform/docker/container.ts';
import { isMissing } from '../../platform/docker/errors.ts';
import { isMadeByCompose } from '../../platform/docker/own-labels.ts';
import { findContainer } from '../docker/container.ts';
import { runningImage, runs, runsPrevious } from '../docker/digests.ts';

/** A service of a compose project with its containers: several if it is scaled, none if it never ran. */
export interface DeployedService {
  readonly name: string;
  /** Those that run first. */
  readonly containers: readonly ServiceContainer[];
}

export interface ServiceContainer {
  readonly container: Container;
  /** Undefined if Docker has removed it. */
  readonly image: Image | undefined;
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
      const members = await Promise.all(listed.map(({ Id }) => memberOf(docker, Id)));
      const containers = members.flatMap((member) => member ?? []).filter(isOfCompose);
      return { name, containers: containers.sort((a, b) => Number(isUp(b)) - Number(isUp(a))) };
    }),
  );
}

async function memberOf(docker: Docker, id: string): Promise<ServiceContainer | undefined> {
  const container = await findContainer(docker, id);
  return container && { container, image: await findImage(docker, container.Image) };
}

/** A container of another image that only says so must not pass for one of the service. */
function isOfCompose({ container, image }: ServiceContainer): boolean {
  return isMadeByCompose(container.Config.Labels, image?.Config?.Labels);
}

function isUp({ container: { State } }: ServiceContainer): boolean {
  return State.Running && !State.Restarting && !State.Paused;
}

/** By the digest that the registry knows the image by, never by its local id. */
export function isDeployed({ containers }: DeployedService, wanted: ImageIdentity): boolean {
  return containers.length > 0 && containers.every((member) => isUp(member) && runs(member.container, member.image, wanted));
}

export function runsPreviousImage({ containers }: DeployedService, before: RunningImage): boolean {
  return (
    containers.length > 0 && containers.every((member) => isUp(member) && runsPrevious(member.container, member.image, before))
  );
}

/**
 * What the services run; a stopped one is told too, because it is what there is to go back to. Where the containers of a service differ
 * (a deploy was cut off), one that does not run the wanted image: that is the one that ran before.
 */
export function runningImages(services: readonly DeployedService[], wanted: ImageIdentity): RunningImage[] {
  return services.flatMap(({ name, containers }) => {
    const other = containers.find(({ container, image }) => !runs(container, image, wanted));
    const member = other ?? containers[0];
    return member === undefined ? [] : [runningImage(name, member.container, member.image, wanted)];
  });
}

/**
 * Removes what a Compose that was killed, or lost its daemon, left beside a container that it was replacing: `ID_NAME`, created and never
 * started. The next `up` would fail over that name. Where the replaced container is gone already, Compose goes on by itself. Volumes stay:
 * they are those of the replaced container.
 */
export async function removeInterrupted(docker: Docker, services: readonly DeployedService[]): Promise<void> {
  for (const { containers } of services) {
    const ids = containers.map(({ container }) => container.Id.slice(0, 12));
    for (const { container } of containers) {
      const [, replaced = ''] = /^\/([0-9a-f]{12})_/.exec(container.Name) ?? [];
      if (container.State.Status === 'created' && ids.includes(replaced)) {
        await docker.getContainer(container.Id).remove({ v: false }).catch(unlessMissing);
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
