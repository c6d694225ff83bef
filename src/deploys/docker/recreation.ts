import { posix } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type Docker from 'dockerode';
import type { Container, ImageSettings } from '../../platform/docker/container.ts';
import { ownNetworks } from './own-networks.ts';
import { isDeployLabel } from './slot.ts';

interface RecreationOptions {
  readonly name: string;
  /** What it is to run, by digest or id. */
  readonly target: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly restart: Docker.HostRestartPolicy;
  /** Configuration of the image that the container was made from. */
  readonly image: ImageSettings;
  /** The host's name, which a container in the host's network has unless it was given one. */
  readonly hostName: string;
  /** Where it has volumes of other containers. */
  readonly borrowed: ReadonlySet<string>;
}

/**
 * How to recreate a container with another image: everything that was set on it is kept, nothing that came from its image or that Docker
 * made up for it (id as host name and alias, addresses). A MAC address that was set stays; generated ones do not.
 */
export function recreationOf(container: Container, to: RecreationOptions) {
  const { first, joins, leaves } = ownNetworks(container);
  const options: Docker.ContainerCreateOptions = {
    ...ownSettings(container, to.image, to.hostName),
    name: to.name,
    Image: to.target,
    Labels: { ...ownLabels(container.Config, to.image), ...to.labels },
    HostConfig: {
      ...container.HostConfig,
      ...ownVolumes(container, to.borrowed),
      Links: ownLinks(container.HostConfig),
      RestartPolicy: to.restart,
      ContainerIDFile: '',
    },
    NetworkingConfig: { EndpointsConfig: first },
  };
  return { options, joins, leaves };
}

function ownLabels(config: ImageSettings, image: ImageSettings): Record<string, string> {
  const own = Object.entries(config.Labels ?? {}).filter(([key, value]) => image.Labels?.[key] !== value && !isDeployLabel(key));
  return Object.fromEntries(own);
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
  // dockerode describes one mount where the API has a list.
  const listed: unknown = container.HostConfig.Mounts;
  const settings: readonly MountSetting[] = Array.isArray(listed) ? listed : [];
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
  const list: unknown = mounts.length === 0 ? undefined : mounts;
  return { Binds: [...binds, ...added], Mounts: list as Docker.HostConfig['Mounts'] };
}

/** As Docker keeps a path: no slash at its end. */
function clean(path: string): string {
  return posix.resolve('/', path);
}

/**
 * What was set on a container itself: its configuration without what its image put there. Docker merges the two when it makes a
 * container and does not tell them apart after, so what was set on the container to just what the image says counts as the image's.
 * The rules are those of Docker's own `merge` (daemon/commit.go of moby).
 */
function ownSettings(container: Container, image: ImageSettings, hostName: string): Record<string, unknown> {
  const { Config: config, HostConfig } = container;
  const own = (key: 'User' | 'WorkingDir' | 'StopSignal' | 'Shell') => (same(config[key], image[key]) ? undefined : config[key]);
  return {
    ...config,
    ...ownNames(container, hostName),
    ...ownCommand(config, image),
    User: own('User'),
    WorkingDir: own('WorkingDir'),
    StopSignal: own('StopSignal'),
    Shell: own('Shell'),
    Env: (config.Env ?? []).filter((variable) => !(image.Env ?? []).includes(variable)),
    Volumes: without(config.Volumes, image.Volumes),
    // What is published is exposed, also where only the old image said so.
    ExposedPorts: { ...without(config.ExposedPorts, image.ExposedPorts), ...without(HostConfig.PortBindings, {}) },
    Healthcheck: ownHealthcheck(config.Healthcheck ?? undefined, image.Healthcheck ?? undefined),
    OnBuild: undefined,
  };
}

/** Docker names a container after its id, after the host in the host's network, and after the one whose network it shares. */
function ownNames({ Id, Config, HostConfig }: Container, hostName: string): Partial<ImageSettings> {
  const mode = HostConfig.NetworkMode ?? '';
  if (mode.startsWith('container:')) return { Hostname: undefined, Domainname: undefined };
  const byDocker = mode === 'host' || HostConfig.UTSMode === 'host' ? [Id.slice(0, 12), hostName] : [Id.slice(0, 12)];
  return { Hostname: byDocker.includes(Config.Hostname ?? '') ? undefined : Config.Hostname };
}

/** An image's command belongs to its entrypoint: setting an entrypoint drops the image's command. */
function ownCommand(config: ImageSettings, image: ImageSettings): Partial<ImageSettings> {
  const sameEntrypoint = same(config.Entrypoint, image.Entrypoint);
  if (sameEntrypoint && same(config.Cmd, image.Cmd)) return { Entrypoint: undefined, Cmd: undefined };
  const tookNoCommand = !config.Cmd?.length && image.Cmd?.length;
  if (sameEntrypoint && !tookNoCommand) return { Entrypoint: undefined, Cmd: config.Cmd };
  // An entrypoint of one empty word is how Docker is told to have none, and not the image's.
  return { Entrypoint: config.Entrypoint?.length ? config.Entrypoint : [''], Cmd: config.Cmd };
}

/** Docker fills each part that was not set from the image. */
function ownHealthcheck(own: Docker.HealthConfig | undefined, image: Docker.HealthConfig | undefined) {
  if (own === undefined || image === undefined) return own;
  const fromImage = new Map<string, unknown>(Object.entries(image));
  const parts = Object.entries(own).filter(([part, value]) => !same(value, fromImage.get(part)));
  return parts.length === 0 ? undefined : Object.fromEntries<unknown>(parts);
}

/** As Docker tells sets: the keys, each with an empty object. */
function without(own: object | null | undefined, image: object | null | undefined): Record<string, object> {
  const keys = Object.keys(own ?? {}).filter((key) => !Object.hasOwn(image ?? {}, key));
  return Object.fromEntries(keys.map((key) => [key, {}]));
}

/** Docker says null, nothing, or what is empty, for what was not set. */
function same(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(one || [], other || []);
}
