import { sep } from 'node:path';
import type Docker from 'dockerode';
import type { ContainerQuery, DeployKind } from '../deploys/deploy.ts';
import { messageOf } from '../domain/errors.ts';
import type { DeployPlan } from '../domain/plan.ts';
import { requireAlive } from '../platform/docker/connect.ts';
import { findImage, type Image, isMadeByCompose } from '../platform/docker/container.ts';
import { isMissing, statusOf } from '../platform/docker/errors.ts';

export type ContainerSnapshot = NonNullable<Awaited<ReturnType<typeof inspect>>>;

export interface ContainersSnapshot {
  readonly containers: readonly ContainerSnapshot[];
  /** Names that no container has, or that are ambiguous; `why`: if the reason is another than that there is none. */
  readonly missing: readonly { readonly name: string; readonly why?: string }[];
}

/** The daemon did not answer, which says nothing about its containers. */
export class DaemonAway extends Error {
  constructor(cause: unknown) {
    super(`Docker did not answer (${messageOf(cause)})`, { cause });
    this.name = 'DaemonAway';
  }
}

const answerWithinMs = 10_000;

/** Where the deploy of a stage finds the container of a name; absent: it has none, or nobody knows it. */
export type ContainerOf = ((name: string) => ContainerQuery) | undefined;

/** @param deploy absent: something else deploys */
export function containersOf(deploys: readonly DeployKind[], deploy: DeployPlan | undefined): ContainerOf {
  const containerOf = deploys.find(({ kind }) => kind === deploy?.kind)?.containerOf;
  return deploy && containerOf && ((name) => containerOf(deploy.settings, name));
}

interface FoundByName {
  readonly containers: readonly ContainerSnapshot[];
  readonly why?: string;
}

/**
 * The containers that a deploy brought, by the names that it calls them by; where the deploy is not known, as a person would write them.
 * @throws DaemonAway, and the signal's reason once it is aborted
 */
export const findContainers = finding((docker, name, containerOf, signal) =>
  containerOf === undefined
    ? findByWrittenName(docker, name, containerOf, signal)
    : findQueried(docker, containerOf(name), signal),
);

/**
 * The containers that a person names beside a stage: `project/service`, a service of the stage's own compose project, a container by its
 * name, or a service that one project alone has. A service of somebody else's project has to be named with it: two projects on a host
 * have services of the same names.
 * @throws as `findContainers`
 */
export const findNamed = finding(findByWrittenName);

function finding(find: typeof findByWrittenName) {
  return async (
    docker: Docker,
    names: readonly string[],
    containerOf: ContainerOf,
    signal: AbortSignal,
  ): Promise<ContainersSnapshot> => {
    const asking = AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]);
    try {
      const findEach = async (name: string) => ({ name, ...(await find(docker, name, containerOf, asking)) });
      const found = await inTime(() => Promise.all(names.map(findEach)), asking);
      const all = found.flatMap(({ containers }) => containers);
      // A daemon that shuts down stops all containers first, and still answers for a while.
      if (all.some(({ state }) => !state.Running)) await requireAlive(docker);
      return {
        containers: [...new Map(all.map((each) => [each.id, each])).values()],
        missing: found.filter(({ containers }) => containers.length === 0),
      };
    } catch (error) {
      signal.throwIfAborted();
      throw new DaemonAway(error);
    }
  };
}

/** Not every request of dockerode can be aborted. Once the signal is aborted, nothing is asked: its failure would be an unhandled rejection. */
async function inTime<Result>(ask: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return await Promise.race([ask(), over]);
}

async function findQueried(docker: Docker, query: ContainerQuery, signal: AbortSignal): Promise<FoundByName> {
  if ('container' in query) return await findContainer(docker, query.container, signal);
  if ('project' in query) return { containers: await servicesOf(docker, query.service, signal, query.project) };
  const { directory, service } = query;
  const found = await servicesOf(docker, service, signal);
  return { containers: found.filter(({ folder }) => folder === directory || folder.startsWith(`${directory}${sep}`)) };
}

async function findByWrittenName(
  docker: Docker,
  name: string,
  containerOf: ContainerOf,
  signal: AbortSignal,
): Promise<FoundByName> {
  const [project = '', service] = name.split('/', 2);
  if (service !== undefined) return { containers: await servicesOf(docker, service, signal, project) };
  const query = containerOf?.(name);
  const hasServices = query !== undefined && 'service' in query;
  const own = hasServices ? await findQueried(docker, query, signal) : { containers: [] };
  if (own.containers.length > 0) return own;
  const byName = await findContainer(docker, name, signal);
  return byName.containers.length > 0 || hasServices ? byName : findOnlyService(docker, name, signal);
}

/** Docker takes an id, or the beginning of one, for a name too. */
async function findContainer(docker: Docker, name: string, signal: AbortSignal): Promise<FoundByName> {
  const snapshot = await inspect(docker, name, signal);
  return { containers: snapshot?.name === name ? [snapshot] : [] };
}

const mostListed = 5;

async function findOnlyService(docker: Docker, name: string, signal: AbortSignal): Promise<FoundByName> {
  const containers = await servicesOf(docker, name, signal);
  const written = [...new Set(containers.map(({ project }) => `${project}/${name}`))].sort();
  if (written.length <= 1) return { containers };
  const which = written.slice(0, mostListed).join(' or ') + (written.length > mostListed ? ' or another one' : '');
  return { containers: [], why: `several projects have a service of this name: write which is meant, ${which}` };
}

/** The containers of a service, in whichever project unless one is named, that Compose made. */
async function servicesOf(docker: Docker, service: string, signal: AbortSignal, project?: string) {
  const label = [`com.docker.compose.service=${service}`, 'com.docker.compose.oneoff=False'];
  if (project !== undefined) label.push(`${projectLabel}=${project}`);
  const listed = await docker.listContainers({ all: true, filters: { label }, abortSignal: signal });
  const inspected = await Promise.all(listed.map(({ Id }) => inspect(docker, Id, signal)));
  return inspected.flatMap((each) => (each?.isOfCompose ? [each] : []));
}

const projectLabel = 'com.docker.compose.project';
/** Compose calls the folder of the first compose file so, which may lie below the directory of the deploy. */
const folderLabel = 'com.docker.compose.project.working_dir';

/**
 * Undefined where there is no such container. `digests` are those of its image at registries, and the one that it was made by; `project`
 * and `folder` are Compose's, and empty for any other container.
 */
async function inspect(docker: Docker, idOrName: string, signal: AbortSignal) {
  try {
    const inspected = await docker.getContainer(idOrName).inspect({ abortSignal: signal });
    const { Id: id, Name, State: state, RestartCount: restartCount, Image, HostConfig, Config } = inspected;
    const image = await findImage(docker, Image);
    // Docker itself starts it again, whatever it exited with.
    const comesBack = ['always', 'unless-stopped'].includes(HostConfig.RestartPolicy?.Name ?? '');
    const digests = digestsOf(image, Config.Image);
    const isOfCompose = isMadeByCompose(Config.Labels, image?.Config?.Labels);
    const { [projectLabel]: project = '', [folderLabel]: folder = '' } = Config.Labels ?? {};
    return { id, name: Name.slice(1), state, restartCount, comesBack, digests, isOfCompose, project, folder };
  } catch (error) {
    // 400: no name that a container could have.
    if (isMissing(error) || statusOf(error) === 400) return undefined;
    throw error;
  }
}

/** Docker forgets a digest when somebody removes that name of the image, although the container still runs it. */
function digestsOf(image: Image | undefined, madeBy: string): string[] {
  const references = [...(image?.RepoDigests ?? []), madeBy].filter((reference) => reference.includes('@'));
  return [...new Set(references.map((reference) => reference.slice(reference.indexOf('@') + 1)))];
}
