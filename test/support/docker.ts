import type Docker from 'dockerode';
import { messageOf } from '../../src/domain/errors.ts';
import { connectDocker } from '../../src/platform/docker/connect.ts';
import { jsonLines } from '../../src/platform/docker/events.ts';
import { eventually } from './wait.ts';

/** The real Docker daemon: a test that needs it fails where there is none. */
export async function ensureDocker(): Promise<Docker> {
  const docker = connectDocker(process.env);
  try {
    await docker.ping();
  } catch (error) {
    throw new Error(`these tests need a running Docker daemon (${messageOf(error)}): start it, or set DOCKER_HOST`, {
      cause: error,
    });
  }
  return docker;
}

/** Names of the containers and networks that a rollout has in Docker. */
export async function labelled(docker: Docker, rollout: string): Promise<string[]> {
  const filters = { label: [`landfall.rollout=${rollout}`] };
  const containers = await docker.listContainers({ all: true, filters });
  const networks = await docker.listNetworks({ filters });
  return [...containers.map(({ Names }) => `container ${Names[0]?.slice(1)}`), ...networks.map(({ Name }) => `network ${Name}`)];
}

/** Whether Docker has the image, by `repository@digest`. */
export async function hasImage(docker: Docker, reference: string): Promise<boolean> {
  try {
    await docker.getImage(reference).inspect();
    return true;
  } catch (error) {
    if (messageOf(error).includes('404')) return false;
    // What Docker 29 answers while it is being removed.
    if (messageOf(error).includes('data changed during operation, retry')) return hasImage(docker, reference);
    throw error;
  }
}

/**
 * Watches for a container's event from now on.
 * @returns once Docker watches; `seen` resolves with the container's id
 */
export async function expectEvent(docker: Docker, rollout: string, event: string): Promise<{ readonly seen: Promise<string> }> {
  const stop = new AbortController();
  const filters = { type: ['container' as const], label: [`landfall.rollout=${rollout}`], event: [event] };
  // A test that failed before the event must not keep the process.
  const abortSignal = AbortSignal.any([stop.signal, AbortSignal.timeout(30_000)]);
  const stream = await docker.getEvents({ filters, abortSignal });
  const seen = (async () => {
    for await (const { Actor } of jsonLines(stream)) {
      stop.abort();
      // Since API 1.52 there is no `id` beside it.
      return (Actor as { readonly ID: string }).ID;
    }
    throw new Error(`Docker's events ended before '${event}' of ${rollout}`);
  })();
  seen.catch(() => undefined);
  return { seen };
}

/** Waits until Docker has removed an image: no smoke test waits for that itself. */
export async function imageIsGone(docker: Docker, reference: string): Promise<void> {
  await eventually(`${reference} to be removed`, async () => !(await hasImage(docker, reference)));
}

/**
 * Removes the images of a test's registry, such as killed workers leave them, and waits for those that are being removed. By force, as a
 * container of a run that was interrupted may hold one of a registry that had the same port.
 */
export async function removeImagesOf(docker: Docker, registryHost: string): Promise<void> {
  // Docker 29 takes 7 ms for each image that it lists, of which other tests have many.
  const filters = { reference: [`${registryHost}/*`, `${registryHost}/*/*`, `${registryHost}/*/*/*`] };
  const refused = new Map<string, string>();
  const what = () => `the images of ${registryHost} to be removed: ${JSON.stringify(Object.fromEntries(refused))}`;
  await eventually(what, async () => {
    const found = await docker.listImages({ filters });
    // One that was tagged here stays by that name when its digest is removed.
    const all = found.flatMap(({ RepoDigests, RepoTags }) => [...(RepoDigests ?? []), ...(RepoTags ?? [])]);
    const left = all.filter((reference) => reference.startsWith(`${registryHost}/`));
    const remove = async (reference: string): Promise<void> => {
      try {
        await docker.getImage(reference).remove({ force: true });
      } catch (error) {
        // Some are going this moment: whether any is left is what counts.
        refused.set(reference, messageOf(error));
      }
    };
    await Promise.all(left.map(remove));
    return left.length === 0;
  });
}
