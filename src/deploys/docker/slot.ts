import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { isOwnLabel } from '../../platform/docker/own-labels.ts';
import { findContainer } from './container.ts';
import { keptName, nextName, readDeployLabels, slotName } from './deploy-labels.ts';
import type { DockerDeployPlan } from './plan.ts';

/** The container of a name, and those that the deployer keeps beside it under temporary names. */
export interface Slot {
  readonly name: string;
  readonly current?: Container;
  /** What was in the slot before: stopped, and not started by Docker. */
  readonly kept?: Container;
  /** On its way into the slot, or out of it. */
  readonly next?: Container;
}

export async function readSlot(docker: Docker, name: string): Promise<Slot> {
  const [current, kept, next] = await Promise.all(
    [name, keptName(name), nextName(name)].map((each) => findContainer(docker, each)),
  );
  return { name, ...(current && { current }), ...(kept && { kept }), ...(next && { next }) };
}

/**
 * The slots of a stage, in the order of the plan; by name if a label selects them.
 * @param only names of those that are meant; absent: all
 * @throws Refusal `DeployRefused` for a name in `only` that the stage does not have
 */
export async function findSlots(
  docker: Docker,
  { containers }: DockerDeployPlan,
  only?: readonly string[],
): Promise<readonly Slot[]> {
  const names = 'names' in containers ? containers.names : await namesWithLabel(docker, containers.label);
  const unknown = (only ?? []).filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw new Refusal(
      'DeployRefused',
      `expected ${unknown.join(', ')} among the containers of deploy.docker, found ${names.join(', ') || 'none'}: ` +
        'correct the names, or the containers of the stage',
    );
  }
  const meant = only === undefined ? names : names.filter((name) => only.includes(name));
  return Promise.all([...new Set(meant)].map((name) => readSlot(docker, name)));
}

/**
 * In an interrupted deploy only the kept and the next container have the label. A container that has the label from its image alone does
 * not count, because anybody's image may carry it; unless the deployer made that container as a replacement.
 */
async function namesWithLabel(docker: Docker, label: string): Promise<readonly string[]> {
  const [key = ''] = label.split('=', 1);
  const listed = await docker.listContainers({ all: true, filters: { label: [label] } });
  const found = await Promise.all(listed.map(({ Id }) => findContainer(docker, Id)));
  const meant = await Promise.all(
    found.map(async (container) => {
      if (container === undefined) return [];
      const { Labels } = container.Config;
      const isMeant =
        readDeployLabels(Labels) !== undefined ||
        isOwnLabel(key, Labels, (await findImage(docker, container.Image))?.Config?.Labels);
      return isMeant ? [slotName(container.Name.slice(1))] : [];
    }),
  );
  return [...new Set(meant.flat())].sort();
}

/** Whether `next` was made to replace what is (or was) in the slot: then its labels say how that one is to run. */
export function isNextTied({ current, kept, next }: Slot): boolean {
  const source = current ?? kept;
  return source !== undefined && readDeployLabels(next?.Config.Labels)?.replaces === source.Id;
}

/** Whether the slot's container was taken out, or stopped for that, and nothing has replaced it yet. */
export function isInterrupted(slot: Slot): boolean {
  const { current, kept, next } = slot;
  if (current === undefined) return kept !== undefined;
  return isNextTied(slot) && !current.State.Running && readDeployLabels(next?.Config.Labels)?.starts === true;
}
