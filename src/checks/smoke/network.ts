import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import { type Address, type Ask, askPort, type PortProbe } from '../../platform/docker/ask.ts';
import { startAskHelper } from '../../platform/docker/ask-helper.ts';
import { closedNetwork, noNameServer } from '../../platform/docker/closed-network.ts';
import { helperNameOf, nameOf } from '../../platform/docker/labels.ts';
import { removeContainer, removeNetwork } from '../../platform/docker/remove.ts';
import { type DockerCheck, labelsFor } from '../check.ts';
import type { SmokePlan } from './plan.ts';

/** One run of a smoke test, and the process that it runs in. */
export type SmokeTest = DockerCheck<SmokePlan>;

/** The same, whatever image it runs. */
export type SmokeContainer = Omit<SmokeTest, 'plan' | 'image'>;

/** How a probe gets to the port: through a port of this host, at the container's own address, or by a helper in its network. */
type PortReach = 'published' | 'address' | 'helper';

/** The network that a container under test is in. */
export interface CandidateNetwork {
  readonly hostConfig: Docker.HostConfig;
  /** Undefined where nothing asks a port. */
  readonly reach: PortReach | undefined;
}

const withoutReplies = { 'com.docker.network.bridge.enable_ip_masquerade': 'false' };

/**
 * A network of its own, so that the container under test meets nothing else: no internet, no other machine, no metadata of a cloud. What it
 * meets of the host depends on how its port is asked. Docker publishes no port of an internal network, so a worker on the host asks at the
 * container's address, and then the host has one in that network too.
 */
export async function createCandidateNetwork(test: SmokeContainer, labels: Record<string, string>): Promise<CandidateNetwork> {
  const { settings: smoke, docker } = test;
  const name = nameOf(test.run);
  const port = probedPort(smoke);
  if (smoke.network === 'none') return { hostConfig: { NetworkMode: 'none' }, reach: undefined };
  test.later(`remove network ${name}`, () => removeNetwork(docker, name));
  const byUs = port !== undefined && test.hostReach === 'loopback';
  const elsewise = port === undefined ? undefined : 'helper';
  if (smoke.network === 'full') {
    await createNetwork(docker, { Name: name, Labels: labels });
    return networkOf(name, byUs ? 'published' : elsewise, port);
  }
  const closed = { Name: name, Labels: labels, EnableIPv6: false };
  const { id } = await createNetwork(docker, { ...closed, ...(byUs ? { Internal: true } : closedNetwork) });
  if (!byUs) return networkOf(name, elsewise, port, noNameServer);
  if (test.hasInterface(`br-${id.slice(0, 12)}`)) return networkOf(name, 'address', port, noNameServer);
  // Docker runs in a machine of its own, as on a Mac: only a published port leads there. Nothing that is sent out of it is answered.
  await removeNetwork(docker, name);
  await createNetwork(docker, { ...closed, Options: withoutReplies });
  return networkOf(name, 'published', port, noNameServer);
}

function networkOf(
  name: string,
  reach: PortReach | undefined,
  port: number | undefined,
  dns?: typeof noNameServer,
): CandidateNetwork {
  return {
    hostConfig: {
      NetworkMode: name,
      ...(dns && { Dns: dns.addresses, DnsOptions: dns.options }),
      // Docker chooses the host's port, so that smoke tests never fight over one.
      ...(reach === 'published' && { PortBindings: { [`${port}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: '' }] } }),
    },
    reach,
  };
}

async function createNetwork(docker: Docker, options: Docker.NetworkCreateOptions): Promise<Docker.Network> {
  try {
    return await docker.createNetwork({ Driver: 'bridge', CheckDuplicate: true, ...options });
  } catch (error) {
    if (!/address pool/i.test(messageOf(error))) throw error;
    throw new Error(
      `Docker has no addresses left for another network (${messageOf(error)}): remove unused ones with 'docker network prune', ` +
        "or give Docker more with default-address-pools in the daemon's configuration",
      { cause: error },
    );
  }
}

/** The port of the configured probe, if it has one. */
export function probedPort({ probe }: SmokePlan): number | undefined {
  return probe === undefined || probe.kind === 'exec' ? undefined : probe.port;
}

/** How the port of a container that runs is asked; undefined where the container has exited already. @param withinMs of the helper */
export async function askOf(
  test: SmokeContainer,
  { reach }: CandidateNetwork,
  container: Docker.Container,
  probe: PortProbe,
  withinMs: number,
): Promise<Ask | undefined> {
  const { Networks, Ports } = (await container.inspect()).NetworkSettings;
  const published = Ports[`${probe.port}/tcp`]?.[0];
  if (reach === 'published') {
    return published && askAt(probe, { host: '127.0.0.1', port: Number(published.HostPort), proxied: true });
  }
  const host = Networks[nameOf(test.run)]?.IPAddress;
  if (!host) return undefined;
  const address = { host, port: probe.port, proxied: false };
  return reach === 'address' ? askAt(probe, address) : await askByHelper(test, probe, address, withinMs);
}

function askAt(probe: PortProbe, address: Address): Ask {
  return (signal) => askPort(probe, address, signal);
}

async function askByHelper(test: SmokeContainer, probe: PortProbe, address: Address, withinMs: number): Promise<Ask> {
  const { docker, ownContainer, run } = test;
  if (ownContainer === undefined) throw new Error("expected a worker in a container to know its own container's id");
  const name = helperNameOf(run);
  test.later(`remove container ${name}`, () => removeContainer(docker, name));
  const labels = labelsFor(test, name, withinMs);
  return await startAskHelper({ docker, ownContainer, name, network: nameOf(run), labels, probe, address });
}
