import type Docker from 'dockerode';
import type { Log } from '../../domain/log.ts';
import type { RunningImage } from '../../domain/outcomes.ts';
import { findImage } from '../../platform/docker/container.ts';
import { explainUnreachable } from '../../platform/docker/errors.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import type { Deployer, Target } from '../deploy.ts';
import { deployContainers, foresee } from './deploy.ts';
import { runningImage } from './digests.ts';
import type { DockerDeployerOptions } from './options.ts';
import type { DockerDeployPlan } from './plan.ts';
import { rollBackContainers } from './rollback.ts';
import { findSlots, isInterrupted, type Slot } from './slot.ts';

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
        const slots = await findSlots(docker, target.deploy);
        return (await Promise.all(slots.map((slot) => runningAt(docker, slot, target)))).flat();
      }),
    // A container keeps the settings that it has, so nothing but the image changes.
    foresee: (target, { signal }) => explained(() => foresee(options, target, signal).then(() => undefined)),
    deploy: (target, work) => explained(() => deployContainers(options, target, work)),
    restore: (target, before, work) => explained(() => rollBackContainers(options, target, before, work)),
    settle: (target) =>
      explained(async () => {
        for (const slot of await findSlots(docker, target.deploy)) await settleAt(docker, slot, log);
      }),
  };
}

/** What is in the slot; in an interrupted deploy, what was in it a moment ago. */
async function runningAt(docker: Docker, { name, current, kept }: Slot, { image }: Target): Promise<RunningImage[]> {
  const container = current ?? kept;
  return container === undefined ? [] : [runningImage(name, container, await findImage(docker, container.Image), image)];
}

/** Volumes stay: the new container uses those of the old one. */
async function settleAt(docker: Docker, slot: Slot, log: Pick<Log, 'info' | 'warn'>): Promise<void> {
  const { name, kept, next } = slot;
  if (isInterrupted(slot)) {
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
