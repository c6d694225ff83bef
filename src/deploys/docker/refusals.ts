import type Docker from 'dockerode';
import { formatReference } from '../../domain/image-reference.ts';
import type { VerifiedImage } from '../../domain/outcomes.ts';
import { type Container, findImage, isMadeByCompose, isOwnLabel } from '../../platform/docker/container.ts';
import { findSharers, isThere } from '../kit/docker.ts';
import { refused } from '../kit/refusals.ts';
import { networksOf } from './own-networks.ts';
import { findContainer } from './slot.ts';

/** What is known of the daemon, asked once. */
export interface DaemonInfo {
  /** `os/arch`, as image indexes say it. */
  readonly platform: string;
  readonly hostName: string;
  readonly containers: readonly Docker.ContainerInfo[];
}

export function requirePlatform(image: VerifiedImage, { platform }: DaemonInfo): void {
  const has = image.platforms.map((each) => each.platform);
  // A variant (linux/arm/v7) is for Docker to choose.
  const isThere = has.some((each) => each === platform || each.startsWith(`${platform}/`));
  if (has.length === 0 || isThere) return;
  const { repository, digest } = image;
  throw refused(
    `expected ${formatReference({ repository, digest })} for ${platform}, the platform of this host's Docker, but it is for ` +
      `${has.join(', ')}: push the image for that platform too`,
  );
}

/** Nothing to recreate: says how the first one is made, because nobody but its owner knows its settings. */
export function noContainer(what: { readonly name: string } | { readonly label: string }, image: VerifiedImage) {
  const { repository, tag, digest } = image;
  const hint = 'label' in what ? '; a label that a container has from its image does not count' : '';
  const [found, options] =
    'name' in what
      ? [`a container named ${what.name}`, `--name ${what.name}`]
      : [`a container with the label ${what.label}`, `--name NAME --label ${what.label}`];
  return refused(
    `expected ${found}, whose settings the new one is to have, found none on this host: make the first one yourself ` +
      `(docker run -d ${options} ... ${formatReference({ repository, tag, digest })}), or correct deploy.docker${hint}`,
  );
}

const swarm = ['Docker Swarm', "update its service, with 'deploy: none' or a workflow"] as const;
const kubernetes = ['Kubernetes', "change its manifest, with 'deploy: none'"] as const;
/** Who else looks after containers, and what to do then, by the labels that they put on theirs. */
const managers = {
  'com.docker.compose.project': ['Docker Compose', 'deploy it with deploy.compose'],
  'com.docker.swarm.service.name': swarm,
  'com.docker.swarm.task.id': swarm,
  'io.kubernetes.pod.name': kubernetes,
  'io.kubernetes.container.name': kubernetes,
} as const;

/** Refuses what would be lost, fought over or broken by making the container anew. @param own id of this worker's container */
export async function requireReplaceable(docker: Docker, container: Container, daemon: DaemonInfo, own?: string): Promise<void> {
  const name = container.Name.slice(1);
  await requireUnmanaged(docker, container);
  if (container.HostConfig.AutoRemove) {
    throw refused(
      `expected ${name} to stay when it stops, but it was made with --rm, so it could not be kept to go back to: make it again without`,
    );
  }
  if (container.State.Paused) {
    throw refused(`expected ${name} to run or to be stopped, but somebody has paused it: 'docker unpause ${name}', or stop it`);
  }
  if (own !== undefined && container.Id === own) {
    throw refused(`${name} is the container of this worker, which cannot replace itself: let a worker on another host do it`);
  }
  await requireIndependent(docker, container, daemon);
  await requireDependencies(docker, container);
}

/** Labels of the image do not count: an image built by Compose names a project, wherever it runs. */
async function requireUnmanaged(docker: Docker, { Image, Name, Config: { Labels } }: Container): Promise<void> {
  const found = Object.entries(managers).filter(([label]) => Labels?.[label] !== undefined);
  if (found.length === 0) return;
  const ofImage = (await findImage(docker, Image))?.Config?.Labels;
  for (const [label, [who, advice]] of found) {
    const isOwn = who === 'Docker Compose' ? isMadeByCompose(Labels, ofImage) : isOwnLabel(label, Labels, ofImage);
    if (!isOwn) continue;
    throw refused(
      `expected ${Name.slice(1)} to be a container of its own, but ${who} manages it (label ${label}) and would undo ` +
        `what happens beside it: ${advice}`,
    );
  }
}

/** Docker ties some containers to this container's id, not to its name: they would stay tied to the old one. */
async function requireIndependent(docker: Docker, container: Container, { containers }: DaemonInfo): Promise<void> {
  const name = container.Name.slice(1);
  const sharers = await findSharers(docker, [container]);
  if (sharers.length > 0) {
    const who = sharers.map((sharer) => `${sharer.name} (its ${sharer.what})`).join(', ');
    throw refused(
      `expected nobody to depend on the very container ${name}, but others share what they would lose with it, running or not: ${who} ` +
        `(--network, --pid or --ipc container:${name}), and could not be started again: let both join a network of their own, or remove ` +
        'them before the deploy',
    );
  }
  const linked = containers.find(({ Id }) => Id === container.Id)?.Names.find((each) => each.lastIndexOf('/') > 0);
  if (linked !== undefined) {
    throw refused(
      `expected nobody to depend on the very container ${name}, but ${linked.slice(1, linked.lastIndexOf('/'))} is linked to it ` +
        '(--link) and would lose it: let both join a network of their own, where names are enough',
    );
  }
}

/** What the new container needs as the old one did. Without it, it could be created but not started. */
async function requireDependencies(docker: Docker, container: Container): Promise<void> {
  const name = container.Name.slice(1);
  for (const network of networksOf(container)) {
    if (await isThere(docker.getNetwork(network))) continue;
    throw refused(`expected the network ${network} of ${name}, which is gone: make it again, or disconnect ${name} from it`);
  }
  const { NetworkMode, IpcMode, PidMode } = container.HostConfig;
  const shared = [NetworkMode, IpcMode, PidMode].flatMap((mode) => (mode?.startsWith('container:') ? [mode.slice(10)] : []));
  for (const other of [...shared, ...lendersTo(container)]) {
    if ((await findContainer(docker, other)) !== undefined) continue;
    throw refused(
      `expected the container ${other}, whose network, processes or volumes ${name} shares, which is gone: make ${name} again with the ` +
        'one that came instead',
    );
  }
}

/** Names or ids of the containers whose volumes it has: `--volumes-from NAME[:MODE]`. */
function lendersTo({ HostConfig }: Container): readonly string[] {
  return Array.isArray(HostConfig.VolumesFrom) ? HostConfig.VolumesFrom.map((each) => String(each).split(':')[0] ?? '') : [];
}

/** Where a container has the volumes of others. */
export async function borrowedPaths(docker: Docker, container: Container): Promise<ReadonlySet<string>> {
  const lenders = await Promise.all(lendersTo(container).map((lender) => findContainer(docker, lender)));
  return new Set(lenders.flatMap((lender) => lender?.Mounts ?? []).map(({ Destination }) => Destination));
}
