import type Docker from 'dockerode';
import type { Container, Endpoint } from '../../platform/docker/container.ts';
import { findContainer } from './slot.ts';

/** Where it is connected, with the aliases, addresses and links that were asked for, and none of those that Docker gave. */
export function ownNetworks(container: Container) {
  const mode = container.HostConfig.NetworkMode || 'default';
  if (isWithoutNetwork(mode)) return { first: {}, joins: [], leaves: [] };
  const network = mode === 'default' ? 'bridge' : mode;
  const endpoints = Object.entries(container.NetworkSettings.Networks ?? {});
  // A mode may be the network's id.
  const first = endpoints.find(([name, { NetworkID }]) => name === network || NetworkID === network);
  const others = endpoints.filter((each) => each !== first);
  const asked = first && ownEndpoint(first[1], container.Id);
  return {
    /** For the network that the container is made in; empty if Docker needs to be told nothing. */
    first: first && asked && Object.keys(asked).length > 0 ? { [first[0]]: asked } : {},
    /** What it joins after: daemons before API 1.44 take one network only when they make a container. */
    joins: others.map(([name, endpoint]) => ({ network: name, endpoint: ownEndpoint(endpoint, container.Id) })),
    /** The network of its mode, if it has left it since. */
    leaves: first === undefined && others.length > 0 ? [network] : [],
  };
}

/** The networks that have to be there for it to start, by name or id. */
export function networksOf(container: Container): readonly string[] {
  const mode = container.HostConfig.NetworkMode || 'default';
  if (isWithoutNetwork(mode)) return [];
  const { joins } = ownNetworks(container);
  return [...(mode === 'default' ? [] : [mode]), ...joins.map(({ network }) => network)];
}

/**
 * Docker 29 disconnects a container whose start failed because of a taken port from its networks, and starts it without any the next
 * time. So reconnect it. @param known as it was before; if it was in no network already, it gets the one of its mode
 */
export async function rejoinNetworks(docker: Docker, known: Container): Promise<void> {
  const mode = known.HostConfig.NetworkMode || 'default';
  if (isWithoutNetwork(mode)) return;
  const present = await findContainer(docker, known.Id);
  if (present === undefined || Object.keys(present.NetworkSettings.Networks ?? {}).length > 0) return;
  const endpoints = Object.entries(known.NetworkSettings.Networks ?? {});
  const wanted = endpoints.length > 0 ? endpoints : [[mode === 'default' ? 'bridge' : mode, {}] as const];
  for (const [network, endpoint] of wanted) {
    await docker.getNetwork(network).connect({ Container: known.Id, EndpointConfig: ownEndpoint(endpoint, known.Id) });
  }
}

function isWithoutNetwork(mode: string): boolean {
  return ['host', 'none'].includes(mode) || mode.startsWith('container:');
}

function ownEndpoint(endpoint: Endpoint, id: string): Docker.EndpointSettings {
  const { IPAMConfig, Links, DriverOpts, GwPriority } = endpoint;
  // Docker adds the short id to the aliases.
  const aliases = (endpoint.Aliases ?? []).filter((alias) => alias !== id.slice(0, 12));
  return {
    ...(IPAMConfig && Object.keys(IPAMConfig).length > 0 ? { IPAMConfig } : {}),
    ...(Links && Links.length > 0 ? { Links } : {}),
    ...(aliases.length > 0 ? { Aliases: aliases } : {}),
    ...(DriverOpts && Object.keys(DriverOpts).length > 0 ? { DriverOpts } : {}),
    ...(GwPriority ? { GwPriority } : {}),
  };
}
