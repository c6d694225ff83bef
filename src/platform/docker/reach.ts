import type Docker from 'dockerode';
import type { ReadText } from './endpoint.ts';
import { isMissing, statusOf } from './errors.ts';

/**
 * How a probe gets to the container: `loopback`, through a port that Docker publishes on this host; `network`, by joining the
 * container's network, because this worker runs in a container itself and the host's loopback is not its own.
 */
export type HostReach = 'loopback' | 'network';

/**
 * The id of the container that this process runs in, or undefined on a host. Docker and Podman mount a container's own files over
 * its /etc; a host that runs containers has their folders among its mounts too, but never there.
 * @param readText reads /proc/self/mountinfo, which only Linux has
 */
export function ownContainer(readText: ReadText): string | undefined {
  for (const line of (readText('/proc/self/mountinfo') ?? '').split('\n')) {
    const [, , , root = '', mountPoint = ''] = line.split(' ');
    if (!['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'].includes(mountPoint)) continue;
    const [, id] = /containers\/([0-9a-f]{64})\//.exec(root) ?? [];
    if (id !== undefined) return id;
  }
  return undefined;
}

/** How a worker reaches the containers of this daemon: by network only if it is itself a container of the very same daemon. */
export async function workerReach(
  docker: Docker,
  readText: ReadText,
): Promise<{ readonly hostReach: 'loopback' } | { readonly hostReach: 'network'; readonly ownContainer: string }> {
  const id = ownContainer(readText);
  if (id === undefined) return { hostReach: 'loopback' };
  try {
    await docker.getContainer(id).inspect();
    return { hostReach: 'network', ownContainer: id };
  } catch (error) {
    if (isMissing(error)) return { hostReach: 'loopback' };
    if (statusOf(error) !== undefined) throw error;
    // Docker is down, or not there for this worker. It may come: then it is most likely the one that runs us.
    return { hostReach: 'network', ownContainer: id };
  }
}
