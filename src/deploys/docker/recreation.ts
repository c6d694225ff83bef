import { posix } from 'node:path';
import type Docker from 'dockerode';
import type { Container, ImageSettings } from '../../platform/docker/container.ts';
import { type OwnNetworks, ownNetworks } from './own-networks.ts';
import { ownSettings } from './own-settings.ts';

export interface Recreation extends Pick<OwnNetworks, 'joins' | 'leaves'> {
  readonly options: Docker.ContainerCreateOptions;
}

export interface RecreationChanges {
  readonly name: string;
  /** What it is to run, by digest or id. */
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly restart: Docker.HostRestartPolicy;
}

export interface RecreationContext {
  /** Configuration of the image that the container was made from. */
  readonly image: ImageSettings;
  readonly hostName: string;
  /** Where it has volumes of other containers. */
  readonly borrowed: ReadonlySet<string>;
}

/**
 * How to recreate a container with another image: everything that was set on it is kept, nothing that came from its image or that Docker
 * made up for it (id as host name and alias, addresses). A MAC address that was set stays; generated ones do not.
 */
export function recreationOf(container: Container, context: RecreationContext, changes: RecreationChanges): Recreation {
  const { first, joins, leaves } = ownNetworks(container);
  const settings = ownSettings(container, context.image, context.hostName);
  const options: Docker.ContainerCreateOptions = {
    ...settings,
    name: changes.name,
    Image: changes.image,
    Labels: { ...(settings.Labels as Record<string, string>), ...changes.labels },
    HostConfig: {
      ...container.HostConfig,
      ...ownVolumes(container, context.borrowed),
      Links: ownLinks(container.HostConfig),
      RestartPolicy: changes.restart,
      ContainerIDFile: '',
    },
    NetworkingConfig: { EndpointsConfig: first },
  };
  return { options, joins, leaves };
}

/** Docker takes `TARGET:ALIAS`, and tells `/TARGET:/CONTAINER/ALIAS`. */
function ownLinks({ Links }: Docker.HostConfig): readonly string[] | undefined {
  if (!Array.isArray(Links)) return undefined;
  return Links.map(String).map((link) => {
    const [target = '', alias = ''] = link.split(':');
    return `${target.slice(1)}:${alias.slice(alias.lastIndexOf('/') + 1)}`;
  });
}

/** An entry of `HostConfig.Mounts`, as the API has it: dockerode has no list of them, and asks for more. */
interface MountSetting {
  readonly Type?: string;
  readonly Source?: string;
  readonly Target?: string;
}

/**
 * Binds and mounts that give the next container the same volumes, those without a name included: by their generated name, so that
 * their content stays. Such a volume has a name from then on, and is not removed together with a container any more.
 * @param borrowed where the container has the volumes of others (`--volumes-from`), which it gets from them again
 */
function ownVolumes(container: Container, borrowed: ReadonlySet<string>): Pick<Docker.HostConfig, 'Binds' | 'Mounts'> {
  // A bind of one part only makes a volume without a name there.
  const binds = (container.HostConfig.Binds ?? []).filter((bind) => bind.includes(':'));
  const settings = mountSettings(container.HostConfig);
  const volumes = container.Mounts.filter(({ Type, Name }) => Type === 'volume' && Name);
  const mounts = settings.map((mount) => {
    const volume = volumes.find(({ Destination }) => Destination === clean(mount.Target ?? ''));
    return mount.Type === 'volume' && !mount.Source && volume ? { ...mount, Source: volume.Name } : mount;
  });
  const named = new Set([
    ...binds.map((bind) => clean(bind.split(':')[1] ?? '')),
    ...settings.map(({ Target }) => clean(Target ?? '')),
  ]);
  const unnamed = volumes.filter(({ Destination }) => !named.has(Destination) && !borrowed.has(Destination));
  const added = unnamed.map(({ Name, Destination, RW }) => `${Name}:${Destination}${RW ? '' : ':ro'}`);
  // dockerode describes one mount where the API has a list.
  const list: unknown = mounts.length === 0 ? undefined : mounts;
  return { Binds: [...binds, ...added], Mounts: list as Docker.HostConfig['Mounts'] };
}

function mountSettings({ Mounts }: Docker.HostConfig): readonly MountSetting[] {
  const list: unknown = Mounts ?? [];
  return Array.isArray(list) ? list : [];
}

/** As Docker keeps a path: no slash at its end. */
function clean(path: string): string {
  return posix.resolve('/', path);
}
