import type Docker from 'dockerode';
import { formatReference, type ImageReference } from '../../domain/image-reference.ts';
import type { Container } from '../../platform/docker/container.ts';
import { explainUnreachable, isMissing } from '../../platform/docker/errors.ts';
import { ensureImage } from '../../platform/docker/images.ts';
import type { DeployContext } from '../deploy.ts';
import { findContainer } from '../docker/slot.ts';

/** What deploys have in common that this host's Docker does. */

/** A Docker that cannot be reached is explained. */
export async function explained<Result>(act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw explainUnreachable(error);
  }
}

/** Makes sure that the image is on the host, by digest. @throws Refusal `PlatformMissing`, `CredentialsRefused`; RateLimit */
export async function pullImage(
  { docker, credentials }: Pick<DeployContext, 'docker' | 'credentials'>,
  { repository, digest }: ImageReference,
  signal: AbortSignal,
): Promise<void> {
  const { Os, Arch } = await docker.version();
  await ensureImage(docker, formatReference({ repository, ...(digest && { digest }) }), {
    platform: `${Os}/${Arch}`,
    credentials,
    signal,
    now: () => new Date(),
  });
}

export async function isThere(resource: Docker.Network | Docker.Volume): Promise<boolean> {
  try {
    await resource.inspect();
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/**
 * Who shares namespaces with containers that are to be replaced. Docker ties them to the very container, not to its name: those that run
 * lose what they share, or end with it, and none of them can be started again. Stopped ones count too.
 */
export async function findSharers(docker: Docker, replaced: readonly Container[]) {
  if (replaced.length === 0) return [];
  const listed = await docker.listContainers({ all: true });
  const others = listed.filter(({ Id }) => replaced.every((each) => each.Id !== Id));
  const found = await Promise.all(others.map(({ Id }) => findContainer(docker, Id)));
  return found.flatMap((container) => (container === undefined ? [] : sharedBy(container, replaced)));
}

/** By whom, of which container (both by name), and what: `network`, `processes`, `IPC`. */
function sharedBy({ Name, HostConfig }: Container, replaced: readonly Container[]) {
  const modes = { network: HostConfig.NetworkMode, processes: HostConfig.PidMode, IPC: HostConfig.IpcMode };
  return Object.entries(modes).flatMap(([what, mode]) => {
    const named = mode?.startsWith('container:') ? mode.slice('container:'.length) : undefined;
    const of = replaced.find((each) => named !== undefined && (each.Id === named || each.Name === `/${named}`));
    return of === undefined ? [] : [{ name: Name.slice(1), of: of.Name.slice(1), what }];
  });
}
