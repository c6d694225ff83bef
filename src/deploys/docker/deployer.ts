import type Docker from 'dockerode';
import type { RunningImage } from '../../domain/outcomes.ts';
import type { DockerDeployPlan } from '../../domain/plan.ts';
import { findImage } from '../../platform/docker/container.ts';
import { explainUnreachable } from '../../platform/docker/errors.ts';
import type { Credentials } from '../../platform/docker/images.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import type { Deployer, Target } from '../deployer.ts';
import { bring, foresee } from './bring.ts';
import { runningImage } from './digests.ts';
import type { DeployLog } from './exchange.ts';
import { findPlaces, isHalfWay, type Place } from './place.ts';
import { bringBack } from './restore.ts';

export interface DockerDeployerOptions {
  readonly docker: Docker;
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  readonly log: DeployLog;
  /** Id of the container that this worker runs in, where it runs in one: see workerReach. It cannot replace itself. */
  readonly ownContainer?: string;
  readonly now?: () => Date;
}

/**
 * `deploy: docker`: recreates containers of this host with the new image and the settings that they have. What ran before is kept
 * beside, stopped, until `settle`; `restore` starts it again. Images are never removed here: the one that ran before stays on the host,
 * so that a rollback of days later needs no registry either; `docker image prune` takes those that no container uses.
 */
export function createDockerDeployer(options: DockerDeployerOptions): Deployer<DockerDeployPlan> {
  const { docker, log } = options;
  return {
    running: (target) =>
      explained(async () => {
        const places = await findPlaces(docker, target.deploy);
        return (await Promise.all(places.map((place) => runningAt(docker, place, target)))).flat();
      }),
    // A container keeps the settings that it has, so nothing but the image changes.
    foresee: (target, { signal }) => explained(() => foresee(options, target, signal).then(() => undefined)),
    deploy: (target, work) => explained(() => bring(options, target, work)),
    restore: (target, before, work) => explained(() => bringBack(options, target, before, work)),
    settle: (target) =>
      explained(async () => {
        for (const place of await findPlaces(docker, target.deploy)) await settleAt(docker, place, log);
      }),
  };
}

/** What is in the place, or was until a moment ago where a deploy is half-way. */
async function runningAt(docker: Docker, { name, current, kept }: Place, { image }: Target): Promise<RunningImage[]> {
  const container = current ?? kept;
  return container === undefined ? [] : [runningImage(name, container, await findImage(docker, container.Image), image)];
}

/** Without volumes: those of the old container are the new one's. */
async function settleAt(docker: Docker, place: Place, log: DeployLog): Promise<void> {
  const { name, kept, next } = place;
  if (isHalfWay(place)) {
    log.warn({ container: name }, 'a deploy was cut off here, so nothing is removed: deploy it again, or roll it back');
    return;
  }
  for (const left of [kept, next]) if (left !== undefined) await removeContainer(docker, left.Id, { volumes: false });
}

async function explained<Result>(act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw explainUnreachable(error);
  }
}
