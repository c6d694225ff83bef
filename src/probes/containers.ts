import { resolve, sep } from 'node:path';
import type Docker from 'dockerode';
import { messageOf } from '../domain/errors.ts';
import type { ComposeDeployPlan, DeployPlan } from '../domain/plan.ts';
import { requireAlive } from '../platform/docker/alive.ts';
import { findImage, type Image } from '../platform/docker/container.ts';
import { isMissing, statusOf } from '../platform/docker/errors.ts';
import { isMadeByCompose } from '../platform/docker/own-labels.ts';

export interface ContainerSnapshot {
  readonly id: string;
  readonly name: string;
  readonly state: Docker.ContainerInspectInfo['State'];
  readonly restartCount: number;
  /** Docker itself starts it again, whatever it exited with. */
  readonly comesBack: boolean;
  /** Of its image's RepoDigests, and the one that it was made by; empty if there is none. */
  readonly digests: readonly string[];
}

export interface ContainersSnapshot {
  readonly containers: readonly ContainerSnapshot[];
  /** Names that no container has, or that are ambiguous. */
  readonly missing: readonly MissingContainer[];
}

export interface MissingContainer {
  readonly name: string;
  /** If the reason is another than that there is none. */
  readonly why?: string;
}

/** The daemon did not answer, which says nothing about its containers. */
export class DaemonAway extends Error {
  constructor(cause: unknown) {
    super(`Docker did not answer (${messageOf(cause)})`, { cause });
    this.name = 'DaemonAway';
  }
}

const answerWithinMs = 10_000;

/** How to find the containers of one name. */
type Find = (docker: Docker, name: string, deploy: DeployPlan | undefined, signal: AbortSignal) => Promise<FoundByName>;

interface FoundByName {
  readonly containers: readonly ContainerSnapshot[];
  readonly why?: string;
}

/**
 * The containers that a deploy brought. With `compose`, names are those of services in its directory (or project), else those of
 * containers; where the deploy is not known, as a person would write them.
 * @throws DaemonAway, and the signal's reason once it is aborted
 */
export const findContainers = finding((docker, name, deploy, signal) =>
  deploy === undefined ? findByWrittenName(docker, name, deploy, signal) : findDeployed(docker, name, deploy, signal),
);

/**
 * The containers that a person names beside a stage: `project/service`, a service of the stage's own compose project, a container by its
 * name, or a service that one project alone has. A service of somebody else's project has to be named with it: two projects on a host
 * have services of the same names.
 * @throws as `findContainers`
 */
export const findNamed = finding(findByWrittenName);

function finding(find: Find) {
  return (
    docker: Docker,
    names: readonly string[],
    deploy: DeployPlan | undefined,
    signal: AbortSignal,
  ): Promise<ContainersSnapshot> => takeSnapshot(docker, names, (name, asking) => find(docker, name, deploy, asking), signal);
}

async function takeSnapshot(
  docker: Docker,
  names: readonly string[],
  find: (name: string, signal: AbortSignal) => Promise<FoundByName>,
  signal: AbortSignal,
): Promise<ContainersSnapshot> {
  const asking = AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]);
  try {
    const findEach = async (name: string) => ({ name, ...(await find(name, asking)) });
    const found = await inTime(() => Promise.all(names.map(findEach)), asking);
    const all = found.flatMap(({ containers }) => containers);
    // A daemon that shuts down stops all containers first, and still answers for a while.
    if (all.some(({ state }) => !state.Running)) await requireAlive(docker);
    return {
      containers: [...new Map(all.map((each) => [each.id, each])).values()],
      missing: found.flatMap(({ name, containers, why }) => (containers.length > 0 ? [] : [{ name, ...(why && { why }) }])),
    };
  } catch (error) {
    signal.throwIfAborted();
    throw new DaemonAway(error);
  }
}

/** Not every request of dockerode can be aborted. Once the signal is aborted, nothing is asked: its failure would be an unhandled rejection. */
async function inTime<Result>(ask: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return await Promise.race([ask(), over]);
}

async function findDeployed(docker: Docker, name: string, deploy: DeployPlan, signal: AbortSignal): Promise<FoundByName> {
  return deploy.kind === 'compose' ? findOwnService(docker, name, deploy, signal) : findContainer(docker, name, signal);
}

async function findByWrittenName(
  docker: Docker,
  name: string,
  deploy: DeployPlan | undefined,
  signal: AbortSignal,
): Promise<FoundByName> {
  const [project = '', service] = name.split('/', 2);
  if (service !== undefined) return { containers: await servicesOf(docker, service, signal, project) };
  if (deploy?.kind === 'compose') {
    const own = await findOwnService(docker, name, deploy, signal);
    return own.containers.length > 0 ? own : findContainer(docker, name, signal);
  }
  const byName = await findContainer(docker, name, signal);
  return byName.containers.length > 0 ? byName : findOnlyService(docker, name, signal);
}

/** Docker takes an id, or the beginning of one, for a name too. */
async function findContainer(docker: Docker, name: string, signal: AbortSignal): Promise<FoundByName> {
  const snapshot = await inspect(docker, name, signal);
  return { containers: snapshot?.name === name ? [snapshot] : [] };
}

async function findOwnService(
  docker: Docker,
  name: string,
  { project, directory }: ComposeDeployPlan,
  signal: AbortSignal,
): Promise<FoundByName> {
  const found = await servicesOf(docker, name, signal, project);
  return { containers: found.filter(({ folder }) => project !== undefined || isWithin(directory, folder)) };
}

async function findOnlyService(docker: Docker, name: string, signal: AbortSignal): Promise<FoundByName> {
  const containers = await servicesOf(docker, name, signal);
  const written = [...new Set(containers.map(({ project }) => `${project}/${name}`))].sort();
  if (written.length <= 1) return { containers };
  return { containers: [], why: `several projects have a service of this name: write which is meant, ${listed(written)}` };
}

const mostListed = 5;

/** `a/db or b/db` */
function listed(written: readonly string[]): string {
  const more = written.length > mostListed ? ' or another one' : '';
  return written.slice(0, mostListed).join(' or ') + more;
}

/** The containers of a service, in whichever project unless one is named, that Compose made. */
async function servicesOf(docker: Docker, service: string, signal: AbortSignal, project?: string): Promise<ComposeContainer[]> {
  const label = [
    `com.docker.compose.service=${service}`,
    'com.docker.compose.oneoff=False',
    ...(project === undefined ? [] : [`com.docker.compose.project=${project}`]),
  ];
  const listed = await docker.listContainers({ all: true, filters: { label }, abortSignal: signal });
  const snapshot = await Promise.all(listed.map(({ Id }) => inspect(docker, Id, signal)));
  return snapshot.flatMap((each) => (each?.isOfCompose ? [each] : []));
}

const projectLabel = 'com.docker.compose.project';
/** Compose calls the folder of the first compose file so, which may lie below the directory of the deploy. */
const folderLabel = 'com.docker.compose.project.working_dir';

function isWithin(directory: string, folder: string): boolean {
  return folder === resolve(directory) || folder.startsWith(`${resolve(directory)}${sep}`);
}

interface ComposeContainer extends ContainerSnapshot {
  readonly isOfCompose: boolean;
  /** Compose's project, and its folder; empty for any other container. */
  readonly project: string;
  readonly folder: string;
}

async function inspect(docker: Docker, idOrName: string, signal: AbortSignal): Promise<ComposeContainer | undefined> {
  try {
    const inspected = await docker.getContainer(idOrName).inspect({ abortSignal: signal });
    const { Id, Name, State, RestartCount, Image, HostConfig, Config } = inspected;
    const image = await findImage(docker, Image);
    const comesBack = ['always', 'unless-stopped'].includes(HostConfig.RestartPolicy?.Name ?? '');
    const { [projectLabel]: project = '', [folderLabel]: folder = '' } = Config.Labels ?? {};
    return {
      ...{ id: Id, name: Name.slice(1), state: State, restartCount: RestartCount, comesBack },
      digests: digestsOf(image, Config.Image),
      ...{ isOfCompose: isMadeByCompose(Config.Labels, image?.Config?.Labels), project, folder },
    };
  } catch (error) {
    // 400: no name that a container could have.
    if (isMissing(error) || statusOf(error) === 400) return undefined;
    throw error;
  }
}

/** Docker forgets a digest when somebody removes that name of the image, although the container still runs it. */
function digestsOf(image: Image | undefined, madeBy: string): string[] {
  const digests = [...(image?.RepoDigests ?? []), madeBy].flatMap((reference) => {
    const at = reference.indexOf('@');
    return at < 0 ? [] : [reference.slice(at + 1)];
  });
  return [...new Set(digests)];
}
