import type Docker from 'dockerode';
import { ownName } from './container.ts';
import { isConflict, isMissing } from './errors.ts';
import { type Ownership, readLabels, rolloutLabel } from './labels.ts';

/** A container, network or volume of ours. */
export interface OwnedResource {
  readonly kind: 'container' | 'network' | 'volume';
  readonly id: string;
  readonly name: string;
  readonly owner: Ownership;
}

/** Resources with our labels, and which of them the labels prove to be ours. */
export interface LabelledResources {
  /** Containers first: a network or volume goes only once nothing uses it. */
  readonly ours: readonly OwnedResource[];
  readonly unproven: readonly Omit<OwnedResource, 'owner'>[];
}

/** What this installation made for checks, containers first. @param key see `ownershipKey` */
export async function findOurs(docker: Docker, key: string, rollout?: string): Promise<readonly OwnedResource[]> {
  return (await findLabelled(docker, key, rollout)).ours;
}

/** Everything that has the label of a rollout, even if somebody else put it there. */
export async function findLabelled(docker: Docker, key: string, rollout?: string): Promise<LabelledResources> {
  const filters = { label: [rollout === undefined ? rolloutLabel : `${rolloutLabel}=${rollout}`] };
  const [containers, networks, { Volumes: volumes }] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listNetworks({ filters }),
    docker.listVolumes({ filters }),
  ]);
  const found = [
    ...containers.map((each) => ({
      kind: 'container' as const,
      id: each.Id,
      name: ownName(each.Names) ?? each.Id,
      labels: each.Labels,
    })),
    ...networks.map((each) => ({ kind: 'network' as const, id: each.Id, name: each.Name, labels: each.Labels ?? {} })),
    ...(volumes ?? []).map((each) => ({ kind: 'volume' as const, id: each.Name, name: each.Name, labels: each.Labels ?? {} })),
  ];
  const ours: OwnedResource[] = [];
  const unproven: Omit<OwnedResource, 'owner'>[] = [];
  for (const { labels, ...rest } of found) {
    const owner = readLabels(rest.name, labels, key);
    if (owner === undefined) unproven.push(rest);
    else ours.push({ ...rest, owner });
  }
  return { ours, unproven };
}

export function remove(docker: Docker, found: Pick<OwnedResource, 'kind' | 'id'>): Promise<void> {
  if (found.kind === 'container') return removeContainer(docker, found.id);
  return found.kind === 'network' ? removeNetwork(docker, found.id) : removeVolume(docker, found.id);
}

/**
 * Kills and removes a container. It is no error if it is gone, or going, already.
 * @param options `volumes`: those that Docker made for this container alone go too
 */
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

/** Removes a network, and takes whatever is in it out first: a worker that runs in a container has joined it to probe. */
export async function removeNetwork(docker: Docker, idOrName: string): Promise<void> {
  const network = docker.getNetwork(idOrName);
  try {
    const inspected: Docker.NetworkInspectInfo = await network.inspect();
    for (const id of Object.keys(inspected.Containers ?? {})) await leaveNetwork(docker, idOrName, id);
    await network.remove();
  } catch (error) {
    unlessMissing(error);
  }
}

async function removeVolume(docker: Docker, name: string): Promise<void> {
  try {
    await docker.getVolume(name).remove();
  } catch (error) {
    unlessMissing(error);
  }
}

async function leaveNetwork(docker: Docker, network: string, container: string): Promise<void> {
  try {
    await docker.getNetwork(network).disconnect({ Container: container, Force: true });
  } catch (error) {
    unlessMissing(error);
  }
}

function unlessMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
