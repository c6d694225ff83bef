import type Docker from 'dockerode';
import type { Labels } from './container.ts';
import { isConflict, isMissing, unlessMissing } from './errors.ts';
import { type Ownership, readLabels, rolloutLabel } from './labels.ts';

/** A container, network or volume of ours. */
export interface OwnedResource {
  readonly kind: 'container' | 'network' | 'volume';
  readonly id: string;
  readonly name: string;
  readonly owner: Ownership;
}

/** Resources with our labels, and which of them the labels prove to be ours. */
interface LabelledResources {
  /** Containers first: a network or volume goes only once nothing uses it. */
  readonly ours: readonly OwnedResource[];
  readonly unproven: readonly Omit<OwnedResource, 'owner'>[];
}

/** Everything that has the label of a rollout, even if somebody else put it there. @param key see `ownershipKey` */
export async function findLabelled(docker: Docker, key: string, rollout?: string): Promise<LabelledResources> {
  const filters = { label: [rollout === undefined ? rolloutLabel : `${rolloutLabel}=${rollout}`] };
  const [containers, networks, { Volumes: volumes }] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listNetworks({ filters }),
    docker.listVolumes({ filters }),
  ]);
  const labelled = (kind: OwnedResource['kind'], id: string, name: string, labels: Labels) => {
    const owner = readLabels(name, labels ?? {}, key);
    return { kind, id, name, owner };
  };
  // Beside a container's own name, `/database`, Docker lists those that links give to it, `/web/database`.
  const isOwnName = (name: string) => name.lastIndexOf('/') === 0;
  const found = [
    ...containers.map(({ Id, Names, Labels }) => labelled('container', Id, Names.find(isOwnName)?.slice(1) ?? Id, Labels)),
    ...networks.map(({ Id, Name, Labels }) => labelled('network', Id, Name, Labels)),
    ...(volumes ?? []).map(({ Name, Labels }) => labelled('volume', Name, Name, Labels)),
  ];
  return {
    ours: found.flatMap(({ owner, ...rest }) => (owner === undefined ? [] : [{ ...rest, owner }])),
    unproven: found.filter(({ owner }) => owner === undefined),
  };
}

export async function remove(docker: Docker, { kind, id }: Pick<OwnedResource, 'kind' | 'id'>): Promise<void> {
  if (kind === 'container') await removeContainer(docker, id);
  else if (kind === 'network') await removeNetwork(docker, id);
  else await docker.getVolume(id).remove().catch(unlessMissing);
}

/** No error if it is gone, or going, already. @param options `volumes`: those that Docker made for this container alone go too */
export async function removeContainer(docker: Docker, idOrName: string, { volumes = true } = {}): Promise<void> {
  const container = docker.getContainer(idOrName);
  try {
    await container.remove({ force: true, v: volumes });
  } catch (error) {
    if (isMissing(error)) return;
    if (!isConflict(error)) throw error;
    // Somebody else removes it this moment; its name is free, and its network can go, only when it is gone.
    await container.wait({ condition: 'removed' }).catch(unlessMissing);
  }
}

/** Removes a network, and takes whatever is in it out first: a worker of an earlier version, in a container, may have joined it. */
export async function removeNetwork(docker: Docker, idOrName: string): Promise<void> {
  const network = docker.getNetwork(idOrName);
  const inspected: Docker.NetworkInspectInfo | undefined = await network.inspect().catch(unlessMissing);
  for (const id of Object.keys(inspected?.Containers ?? {})) {
    await network.disconnect({ Container: id, Force: true }).catch(unlessMissing);
  }
  await network.remove().catch(unlessMissing);
}
