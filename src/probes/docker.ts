import type { Digest } from '../domain/image-reference.ts';
import type { Restarts } from '../domain/watch-restarts.ts';
import { healthOf } from '../platform/docker/readiness.ts';
import type { ProbeAnswer } from './answer.ts';
import type { ContainerSnapshot, ContainersSnapshot } from './containers.ts';

/** Whether all of them run, are `healthy` if they have a HEALTHCHECK, and were not restarted more often than allowed. */
export function judgeContainers(snapshot: ContainersSnapshot, restarts: Restarts, allowed: number): ProbeAnswer[] {
  if (snapshot.containers.length + snapshot.missing.length === 0)
    return [{ kind: 'bad', text: 'docker: there is no container to look at' }];
  return [...missing(snapshot), ...snapshot.containers.map((each) => judgeOne(each, restarts[each.id]?.since ?? 0, allowed))];
}

function judgeOne(container: ContainerSnapshot, restarts: number, allowed: number): ProbeAnswer {
  const name = `docker ${container.name}`;
  if (restarts > allowed) {
    return { kind: 'bad', text: `${name} was restarted ${restarts} times, borne are ${allowed}${exit(container)}` };
  }
  const stopped = notRunning(container);
  if (stopped !== undefined) return stopped;
  const health = healthOf(container.state);
  if (health === undefined) return { kind: 'good', text: `${name} runs` };
  // Docker decides later, one way or the other.
  if (health === 'starting') return { kind: 'none', text: `${name} is starting` };
  if (health === 'healthy') return { kind: 'good', text: `${name} is healthy` };
  const said = container.state.Health?.Log?.at(-1)?.Output.replace(/\s+/g, ' ').trim().slice(0, 120);
  return { kind: 'bad', text: `${name} is ${health}${said ? ` (${said})` : ''}` };
}

/**
 * The proof that they run this image: every one of them was made from an image that the registry knows by one of these digests.
 * @param digests the expected one, and those of its platforms
 */
export function proveDigest(snapshot: ContainersSnapshot, digests: readonly Digest[]): ProbeAnswer[] {
  return [
    ...missing(snapshot),
    ...snapshot.containers.map((container): ProbeAnswer => {
      const [wanted = ''] = digests;
      const isIt = container.digests.some((digest) => digests.some((each) => each === digest));
      if (isIt) return notRunning(container) ?? { kind: 'good', text: `docker ${container.name} runs ${short(wanted)}` };
      const found = container.digests.length === 0 ? 'an image that no registry knows' : container.digests.map(short).join(', ');
      return {
        kind: 'bad',
        text: `docker ${container.name} is not what was deployed: it has ${found}, expected ${short(wanted)}; somebody replaced it, or it was never replaced`,
      };
    }),
  ];
}

function missing(snapshot: ContainersSnapshot): ProbeAnswer[] {
  return snapshot.missing.map(({ name, why }) => ({
    kind: 'bad',
    text: `docker ${name}: ${why ?? 'there is no such container'}`,
  }));
}

function notRunning(container: ContainerSnapshot): ProbeAnswer | undefined {
  const { state, name, comesBack } = container;
  if (state.Running && !state.Restarting && !state.Paused) return undefined;
  // A crashing container is `restarting`. One that stays down despite its restart policy was stopped by a person, or together with its
  // daemon, which is shutting down: no reading, until it is back or time is up.
  if (state.Status === 'exited' && comesBack) {
    return { kind: 'away', text: `docker ${name} is stopped${exit(container)}, and its restart policy brings it back` };
  }
  return { kind: 'bad', text: `docker ${name} is ${state.Status}${exit(container)}` };
}

function exit({ state }: ContainerSnapshot): string {
  if (state.OOMKilled) return ' (out of memory)';
  return state.Running && !state.Restarting ? '' : ` (exit code ${state.ExitCode})`;
}

function short(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}
