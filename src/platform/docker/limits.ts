import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import { removeContainer } from './remove.ts';

/** What an image under test may use unless somebody allows it more: in a smoke test, and as the candidate of an integration check. */
export const usualLimits = {
  memoryBytes: 512 * 1024 ** 2,
  cpus: 1,
  pids: 256,
  /** Of each process; a daemon without root cannot give more than it has itself. */
  openFiles: 16_384,
  diskBytes: 10 * 1024 ** 3,
  logSize: '1m',
  logFiles: 2,
} as const;

/** Docker runs each HEALTHCHECK outside of the container's own limits. */
const healthAtMostEveryNs = 1_000_000_000;

interface ImageHealth {
  readonly Interval?: number | undefined;
  readonly StartInterval?: number | undefined;
}

/**
 * What has to be set on a container so that its image's own HEALTHCHECK is not run again and again at once; what is not set stays the image's.
 * Undefined for an image that asks for nothing of the kind. No interval at all is Docker's own, 30 s.
 */
export function calmedHealthcheck(
  image: ImageHealth | null | undefined,
): { readonly Interval: number; readonly StartInterval: number } | undefined {
  const { Interval = 0, StartInterval = 0 } = image ?? {};
  const isStorm = [Interval, StartInterval].some((every) => every > 0 && every < healthAtMostEveryNs);
  const calm = (every: number) => (every > 0 ? Math.max(every, healthAtMostEveryNs) : every);
  return isStorm ? { Interval: calm(Interval), StartInterval: calm(StartInterval) } : undefined;
}

/** Daemons whose storage driver cannot limit how much a container writes: they say so of the first one. */
const unlimited = new WeakSet<object>();

/** Creates a container that can write so much and no more, where the storage driver can limit it at all. */
export async function createBounded(
  docker: Docker,
  { HostConfig, ...options }: Docker.ContainerCreateOptions,
  diskBytes: number,
): Promise<Docker.Container> {
  const modem: object = docker.modem;
  if (!unlimited.has(modem)) {
    const bounded = { ...HostConfig, StorageOpt: { size: String(diskBytes) } };
    try {
      return await docker.createContainer({ ...options, HostConfig: bounded });
    } catch (error) {
      if (!/storage-opt|storage driver|quota/i.test(messageOf(error))) throw error;
      unlimited.add(modem);
    }
  }
  return await docker.createContainer({ ...options, ...(HostConfig && { HostConfig }) });
}

/** Whether the storage driver can limit that: a container tells that is made for it alone, and goes again at once. @param options with a name */
export async function limitsDisk(docker: Docker, options: Docker.ContainerCreateOptions, diskBytes: number): Promise<boolean> {
  if (unlimited.has(docker.modem)) return false;
  try {
    await createBounded(docker, options, diskBytes);
    return !unlimited.has(docker.modem);
  } finally {
    await removeContainer(docker, options.name ?? '');
  }
}
