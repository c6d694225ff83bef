import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import type { DockerDeployPlan } from '../../domain/plan.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { isOwnLabel } from '../../platform/docker/own-labels.ts';
import { findContainer } from './container.ts';
import { keptName, nextName, placeName, readMark } from './marks.ts';

/** The container of a name, and those that the deployer has beside it under names of its own. */
export interface Place {
  readonly name: string;
  readonly current?: Container;
  /** What was in its place before: stopped, and not started by Docker. */
  readonly kept?: Container;
  /** On its way into the place, or out of it. */
  readonly next?: Container;
}

export async function lookAt(docker: Docker, name: string): Promise<Place> {
  const [current, kept, next] = await Promise.all(
    [name, keptName(name), nextName(name)].map((each) => findContainer(docker, each)),
  );
  return { name, ...(current && { current }), ...(kept && { kept }), ...(next && { next }) };
}

/**
 * The places of a stage, in the order of the plan, or by name where a label says which.
 * @param only names of those that are meant; absent: all
 * @throws Refusal `DeployRefused` for a name in `only` that the stage does not have
 */
export async function findPlaces(
  docker: Docker,
  { containers }: DockerDeployPlan,
  only?: readonly string[],
): Promise<readonly Place[]> {
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
  return Promise.all([...new Set(meant)].map((name) => lookAt(docker, name)));
}

/**
 * What is half-way has its name only in those of its container before and next, which have the label too. A container that has it from
 * its image alone is not meant, because anybody's image can say it; unless it is one that the deployer has made in the place of one.
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
        readMark(Labels) !== undefined || isOwnLabel(key, Labels, (await findImage(docker, container.Image))?.Config?.Labels);
      return isMeant ? [placeName(container.Name.slice(1))] : [];
    }),
  );
  return [...new Set(meant.flat())].sort();
}

/** Whether `next` is there for what is (or was) in the place now: its mark tells how that one is to be. */
export function isTied({ current, kept, next }: Place): boolean {
  const source = current ?? kept;
  return source !== undefined && readMark(next?.Config.Labels)?.insteadOf === source.Id;
}

/** Whether what was in the place has been taken out of it, or stopped for that, and nothing has come instead. */
export function isHalfWay(place: Place): boolean {
  const { current, kept, next } = place;
  if (current === undefined) return kept !== undefined;
  return isTied(place) && !current.State.Running && readMark(next?.Config.Labels)?.starts === true;
}
