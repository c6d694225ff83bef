import type Docker from 'dockerode';
import type { Container, ImageSettings } from '../../platform/docker/container.ts';
import { isDeployLabel } from './deploy-labels.ts';

/**
 * What was set on a container itself: its configuration without what its image put there. Docker merges the two when it makes a
 * container and does not tell them apart after, so what was set on the container to just what the image says counts as the image's.
 * The rules are those of Docker's own `merge` (daemon/commit.go of moby).
 * @param hostName the host's name, which a container in the host's network has unless it was given one
 */
export function ownSettings(container: Container, image: ImageSettings, hostName: string): Record<string, unknown> {
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
  const [a, b] = [one ?? [], other ?? []];
  return a.length === b.length && a.every((word, index) => word === b[index]);
}
