import type Docker from 'dockerode';
import { type Container, findImage, inspectContainer } from '../../platform/docker/container.ts';
import { hasOwnDeployLabels, readDeployLabels, withoutDeployLabels } from './deploy-labels.ts';

/** Undefined if there is no such container. */
export async function findContainer(docker: Docker, idOrName: string): Promise<Container | undefined> {
  const found = await inspectContainer(docker, idOrName);
  return found && (await withOwnDeployLabels(docker, found));
}

/** Drops deploy labels that came with the image: only the deployer itself decides how a deploy goes on. */
async function withOwnDeployLabels(docker: Docker, container: Container): Promise<Container> {
  const { Labels } = container.Config;
  if (
    readDeployLabels(Labels) === undefined ||
    hasOwnDeployLabels(Labels, (await findImage(docker, container.Image))?.Config?.Labels)
  )
    return container;
  return { ...container, Config: { ...container.Config, Labels: withoutDeployLabels(Labels) } };
}
