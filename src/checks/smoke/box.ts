import type Docker from 'dockerode';
import { calmedHealthcheck, usualLimits } from '../../platform/docker/limits.ts';
import { type CandidateNetwork, probedPort } from './network.ts';
import type { SmokePlan } from './plan.ts';

/** What is written to beside volumes, in most images. */
const writable = ['/tmp', '/run', '/var/tmp'];

/**
 * A container that can do no more than the plan allows: no host paths, no capabilities, no new privileges; bounded memory, processors,
 * processes, files, disk and log.
 * @param image the image's own settings @param hostCpus Docker refuses a limit above it
 */
export function boxOf(
  smoke: SmokePlan,
  image: Docker.ImageInspectInfo['Config'] | null | undefined,
  network: CandidateNetwork,
  hostCpus: number,
): Docker.ContainerCreateOptions {
  const port = probedPort(smoke);
  const health = calmedHealthcheck(image?.Healthcheck);
  const diskBytes = smoke.diskBytes ?? usualLimits.diskBytes;
  return {
    ...(smoke.command !== undefined && { Cmd: [...smoke.command] }),
    ...(network.reach === 'published' && port !== undefined && { ExposedPorts: { [`${port}/tcp`]: {} } }),
    ...(health && { Healthcheck: health }),
    HostConfig: {
      ...network.hostConfig,
      Memory: smoke.memoryBytes,
      // Memory and swap together: no swap.
      MemorySwap: smoke.memoryBytes,
      NanoCpus: Math.round(Math.min(smoke.cpus, hostCpus) * 1e9),
      PidsLimit: smoke.pids,
      Ulimits: [ulimit('nofile', usualLimits.openFiles), ulimit('core', 0), ulimit('fsize', diskBytes)],
      CapDrop: ['ALL'],
      CapAdd: [...smoke.capabilities],
      SecurityOpt: ['no-new-privileges'],
      Privileged: false,
      ...(smoke.runtime !== undefined && { Runtime: smoke.runtime }),
      ...(smoke.readOnly && { ReadonlyRootfs: true, Mounts: inMemory(Object.keys(image?.Volumes ?? {}), diskBytes) }),
      RestartPolicy: { Name: 'no' },
      // Whoever removes it wants to read its log first.
      AutoRemove: false,
      LogConfig: { Type: 'json-file', Config: { 'max-size': usualLimits.logSize, 'max-file': String(usualLimits.logFiles) } },
    },
  };
}

function ulimit(Name: string, most: number) {
  return { Name, Soft: most, Hard: most };
}

function inMemory(volumes: readonly string[], SizeBytes: number): Docker.MountSettings[] {
  return [...new Set([...writable, ...volumes])].map((Target) => ({
    Type: 'tmpfs',
    Source: '',
    Target,
    TmpfsOptions: { SizeBytes, Mode: 0o1777 },
  }));
}
