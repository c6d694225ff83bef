import { posix } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type Docker from 'dockerode';
import type { Container, ImageSettings } from '../../platform/docker/container.ts';
import { ownNetworks } from './own-networks.ts';
import { isDeployLabel } from './slot.ts';

interface RecreationChanges {
  readonly name: string;
  /** What it is to run, by digest or id. */
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly restart: Docker.HostRestartPolicy;
}

interface RecreationContext {
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
export function recreationOf(container: Container, context: RecreationContext, changes: RecreationChanges) {
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

/**
 * What was set on a container itself: its configuration without what its image put there. Docker merges the two when it makes a
 * container and does not tell them apart after, so what was set on the container to just what the image says counts as the image's.
 * The rules are those of Docker's own `merge` (daemon/commit.go of moby).
 * @param hostName the host's name, which a container in the host's network has unless it was given one
 */
function ownSettings(container: Container, image: ImageSettings, hostName: string): Record<string, unknown> {
  const { Config: config } = container;
  return {
    ...config,
    ...ownNames(container, hostName),
    ...ownCommand(config, image),
    User: unlessEqual(config.User, image.User),
    WorkingDir: unlessEqual(config.WorkingDir, image.WorkingDir),
    StopSignal: unlessEqual(config.StopSignal, image.StopSignal),
    Shell: sameList(config.Shell, image.Shell) ? undefined : config.Shell,
    Env: (config.Env ?? []).filter((variable) => !(image.Env ?? []).includes(variable)),
    Labels: ownLabels(config, image),
    Volumes: without(config.Volumes, image.Volumes),
    // What is published is exposed, also where only the old image said so.
    ExposedPorts: { ...without(config.ExposedPorts, image.ExposedPorts), ...exposed(container.HostConfig) },
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
  const sameEntrypoint = sameList(config.Entrypoint, image.Entrypoint);
  if (sameEntrypoint && sameList(config.Cmd, image.Cmd)) return { Entrypoint: undefined, Cmd: undefined };
  const tookNoCommand = isEmpty(config.Cmd) && !isEmpty(image.Cmd);
  if (sameEntrypoint && !tookNoCommand) return { Entrypoint: undefined, Cmd: config.Cmd };
  // An entrypoint of one empty word is how Docker is told to have none, and not the image's.
  return { Entrypoint: isEmpty(config.Entrypoint) ? [''] : config.Entrypoint, Cmd: config.Cmd };
}

function ownLabels(config: ImageSettings, image: ImageSettings): Record<string, string> {
  const own = Object.entries(config.Labels ?? {}).filter(([key, value]) => image.Labels?.[key] !== value && !isDeployLabel(key));
  return Object.fromEntries(own);
}

/** Docker fills each part that was not set from the image. */
function ownHealthcheck(own: Docker.HealthConfig | undefined, image: Docker.HealthConfig | undefined) {
  if (own === undefined || image === undefined) return own;
  const { Test, ...times } = own;
  const fromImage = new Map<string, unknown>(Object.entries(image));
  const ownTimes = Object.entries(times).filter(([part, value]) => fromImage.get(part) !== value);
  const ownTest = sameList(Test, image.Test) ? [] : [['Test', Test] as const];
  const parts = [...ownTest, ...ownTimes];
  return parts.length === 0 ? undefined : Object.fromEntries<unknown>(parts);
}

function exposed({ PortBindings }: Docker.HostConfig): Record<string, object> {
  return Object.fromEntries(Object.keys(PortBindings ?? {}).map((port) => [port, {}]));
}

function without(own: ImageSettings['Volumes'], image: ImageSettings['Volumes']): Record<string, object> {
  return Object.fromEntries(Object.entries(own ?? {}).filter(([key]) => !Object.hasOwn(image ?? {}, key)));
}

function unlessEqual(own: string | null | undefined, image: string | null | undefined): string | undefined {
  return (own ?? '') === (image ?? '') ? undefined : (own ?? undefined);
}

type StringList = readonly string[] | null | undefined;

function isEmpty(list: StringList): boolean {
  return (list ?? []).length === 0;
}

function sameList(one: StringList, other: StringList): boolean {
  return isDeepStrictEqual(one ?? [], other ?? []);
}
