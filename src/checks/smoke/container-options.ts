import type Docker from 'dockerode';
import type { HostReach } from '../../platform/docker/reach.ts';
import type { SmokePlan } from './plan.ts';

export interface ContainerSettings {
  readonly name: string;
  /** `repository@digest` */
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly hostReach: HostReach;
  /** How many CPUs the host has: Docker refuses a limit above it. */
  readonly hostCpus: number;
}

/** The port of the configured probe, if it has one. */
export function probedPort({ probe }: SmokePlan): number | undefined {
  return probe === undefined || probe.kind === 'exec' ? undefined : probe.port;
}

/** A container that can do no more than the plan allows: no host paths, no capabilities, bounded memory, CPU, processes and log. */
export function containerOptions(smoke: SmokePlan, settings: ContainerSettings): Docker.ContainerCreateOptions {
  const port = probedPort(smoke);
  const publishes = port !== undefined && settings.hostReach === 'loopback';
  return {
    name: settings.name,
    Image: settings.image,
    Labels: { ...settings.labels },
    Env: Object.entries(settings.variables).map(([name, value]) => `${name}=${value}`),
    ...(smoke.command === undefined ? {} : { Cmd: [...smoke.command] }),
    ...(publishes ? { ExposedPorts: { [`${port}/tcp`]: {} } } : {}),
    HostConfig: {
      NetworkMode: settings.network,
      // Docker chooses the host's port, so that smoke tests never fight over one.
      ...(publishes ? { PortBindings: { [`${port}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: '' }] } } : {}),
      Memory: smoke.memoryBytes,
      // Memory and swap together: no swap.
      MemorySwap: smoke.memoryBytes,
      NanoCpus: Math.round(Math.min(smoke.cpus, settings.hostCpus) * 1e9),
      PidsLimit: smoke.pids,
      CapDrop: ['ALL'],
      CapAdd: [...smoke.capabilities],
      SecurityOpt: ['no-new-privileges'],
      Privileged: false,
      RestartPolicy: { Name: 'no' },
      // Whoever removes it wants to read its log first.
      AutoRemove: false,
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
    },
  };
}
