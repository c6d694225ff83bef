import { resolve, sep } from 'node:path';
import type Docker from 'dockerode';
import type { DeployPlan } from '../../domain/plan.ts';
import { requireAlive } from '../deploy/docker/alive.ts';
import { findImage } from '../deploy/docker/container.ts';
import { isMissing, messageOf, statusOf } from '../docker/errors.ts';

export interface SeenContainer {
  readonly id: string;
  readonly name: string;
  readonly state: Docker.ContainerInspectInfo['State'];
  readonly restartCount: number;
  /** Docker itself starts it again, whatever it exited with. */
  readonly comesBack: boolean;
  /** Of its image's RepoDigests, and the one that it was made by; empty where there is none. */
  readonly digests: readonly string[];
}

export interface Seen {
  readonly containers: readonly SeenContainer[];
  /** Names that no container has. */
  readonly missing: readonly string[];
}

/** The daemon did not answer: that says nothing about its containers. */
export class DaemonAway extends Error {
  constructor(cause: unknown) {
    super(`Docker did not answer (${messageOf(cause)})`, { cause });
    this.name = 'DaemonAway';
  }
}

const answerWithinMs = 10_000;

/**
 * The containers with these names. With a `compose` deploy they are names of services in its directory (or project), else names of
 * containers; where the deploy is not known, a container by that name, else the services by that name of whatever project.
 * @throws DaemonAway, and the signal's reason once it is aborted
 */
export async function findContainers(
  docker: Docker,
  names: readonly string[],
  deploy: DeployPlan | undefined,
  signal: AbortSignal,
): Promise<Seen> {
  const asking = AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]);
  try {
    const find = (name: string) => findByName(docker, name, deploy, asking);
    const found = await inTime(() => Promise.all(names.map(find)), asking);
    const containers = new Map(found.flat().map((each) => [each.id, each]));
    // A daemon that shuts down stops them all, and goes on to answer for a while.
    if (found.flat().some(({ state }) => !state.Running)) await requireAlive(docker);
    return { containers: [...containers.values()], missing: names.filter((_, index) => found[index]?.length === 0) };
  } catch (error) {
    signal.throwIfAborted();
    throw new DaemonAway(error);
  }
}

/** Not every request of dockerode's can be aborted. Nothing is asked once the signal is aborted: nobody would hear how that fails. */
async function inTime<Result>(ask: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return await Promise.race([ask(), over]);
}

async function findByName(
  docker: Docker,
  name: string,
  deploy: DeployPlan | undefined,
  signal: AbortSignal,
): Promise<SeenContainer[]> {
  if (deploy?.kind !== 'compose') {
    const seen = await inspect(docker, name, signal);
    // Docker takes an id, or the beginning of one, for a name too.
    if (seen?.name === name) return [seen];
    if (deploy !== undefined) return [];
  }
  const project = deploy?.kind === 'compose' && deploy.project !== undefined ? deploy.project : undefined;
  const label = [
    `com.docker.compose.service=${name}`,
    'com.docker.compose.oneoff=False',
    ...(project === undefined ? [] : [`com.docker.compose.project=${project}`]),
  ];
  const listed = await docker.listContainers({ all: true, filters: { label }, abortSignal: signal });
  const within = deploy?.kind === 'compose' && project === undefined ? deploy.directory : undefined;
  const ours = listed.filter(({ Labels }) => within === undefined || isWithin(within, Labels[workingDirectory] ?? ''));
  const seen = await Promise.all(ours.map(({ Id }) => inspect(docker, Id, signal)));
  return seen.flatMap((each) => each ?? []);
}

/** Compose calls the folder of the first compose file so, which may lie below the directory of the deploy. */
const workingDirectory = 'com.docker.compose.project.working_dir';

function isWithin(directory: string, folder: string): boolean {
  return folder === resolve(directory) || folder.startsWith(`${resolve(directory)}${sep}`);
}

async function inspect(docker: Docker, idOrName: string, signal: AbortSignal): Promise<SeenContainer | undefined> {
  try {
    const inspected = await docker.getContainer(idOrName).inspect({ abortSignal: signal });
    const { Id, Name, State, RestartCount, Image, HostConfig, Config } = inspected;
    const digests = await digestsOf(docker, Image, Config.Image);
    const comesBack = ['always', 'unless-stopped'].includes(HostConfig.RestartPolicy?.Name ?? '');
    return { id: Id, name: Name.slice(1), state: State, restartCount: RestartCount, comesBack, digests };
  } catch (error) {
    // 400: no name that a container could have.
    if (isMissing(error) || statusOf(error) === 400) return undefined;
    throw error;
  }
}

/** Docker forgets a digest when somebody removes that name of the image, although the container still runs it. */
async function digestsOf(docker: Docker, imageId: string, madeBy: string): Promise<string[]> {
  const image = await findImage(docker, imageId);
  const digests = [...(image?.RepoDigests ?? []), madeBy].flatMap((reference) => {
    const at = reference.indexOf('@');
    return at < 0 ? [] : [reference.slice(at + 1)];
  });
  return [...new Set(digests)];
}
