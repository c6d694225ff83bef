import type Docker from 'dockerode';
import type { DeployPlan } from '../../domain/plan.ts';
import { isMissing, messageOf, statusOf } from '../docker/errors.ts';

export interface SeenContainer {
  readonly id: string;
  readonly name: string;
  readonly state: Docker.ContainerInspectInfo['State'];
  readonly restartCount: number;
  /** Docker itself starts it again, whatever it exited with. */
  readonly comesBack: boolean;
  /** Of its image's RepoDigests; empty where the image has none, or is gone. */
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
    const found = await Promise.all(names.map((name) => findByName(docker, name, deploy, asking)));
    const containers = new Map(found.flat().map((each) => [each.id, each]));
    return { containers: [...containers.values()], missing: names.filter((_, index) => found[index]?.length === 0) };
  } catch (error) {
    signal.throwIfAborted();
    throw new DaemonAway(error);
  }
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
  const place =
    deploy?.kind !== 'compose'
      ? []
      : deploy.project === undefined
        ? [`com.docker.compose.project.working_dir=${deploy.directory.replace(/(.)\/+$/, '$1')}`]
        : [`com.docker.compose.project=${deploy.project}`];
  const label = [`com.docker.compose.service=${name}`, 'com.docker.compose.oneoff=False', ...place];
  const listed = await docker.listContainers({ all: true, filters: { label }, abortSignal: signal });
  const seen = await Promise.all(listed.map(({ Id }) => inspect(docker, Id, signal)));
  return seen.flatMap((each) => each ?? []);
}

async function inspect(docker: Docker, idOrName: string, signal: AbortSignal): Promise<SeenContainer | undefined> {
  try {
    const inspected = await docker.getContainer(idOrName).inspect({ abortSignal: signal });
    const { Id, Name, State, RestartCount, Image, HostConfig } = inspected;
    const digests = await digestsOf(docker, Image);
    const comesBack = ['always', 'unless-stopped'].includes(HostConfig.RestartPolicy?.Name ?? '');
    return { id: Id, name: Name.slice(1), state: State, restartCount: RestartCount, comesBack, digests };
  } catch (error) {
    // 400: no name that a container could have.
    if (isMissing(error) || statusOf(error) === 400) return undefined;
    throw error;
  }
}

async function digestsOf(docker: Docker, imageId: string): Promise<string[]> {
  try {
    const { RepoDigests } = await docker.getImage(imageId).inspect();
    return (RepoDigests ?? []).map((reference) => reference.slice(reference.indexOf('@') + 1));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
