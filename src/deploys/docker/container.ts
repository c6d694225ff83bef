import type Docker from 'dockerode';
import { type Container, findImage, inspectContainer } from '../../platform/docker/container.ts';
import { isOwnMark, readMark, withoutMark } from './marks.ts';

/** Undefined where there is no such container. */
export async function findContainer(docker: Docker, idOrName: string): Promise<Container | undefined> {
  const found = await inspectContainer(docker, idOrName);
  return found && (await withOwnMark(docker, found));
}

/** Marks that the container has from its image are none of the deployer's, and left out: nobody else is to say how a deploy goes on. */
async function withOwnMark(docker: Docker, container: Container): Promise<Container> {
  const { Labels } = container.Config;
  if (readMark(Labels) === undefined || isOwnMark(Labels, (await findImage(docker, container.Image))?.Config?.Labels))
    return container;
  return { ...container, Config: { ...container.Config, Labels: withoutMark(Labels) } };
}
