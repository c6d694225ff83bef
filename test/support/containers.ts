import type Docker from 'dockerode';

/** A container as somebody starts it with `docker run`, of an image that is pulled first. */
export async function runContainer(
  docker: Docker,
  name: string,
  reference: string,
  options: Docker.ContainerCreateOptions = {},
): Promise<void> {
  const stream = await docker.pull(reference);
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(stream, (error) => (error ? reject(error) : resolve()));
  });
  const policy = { RestartPolicy: { Name: 'unless-stopped' } };
  const container = await docker.createContainer({ name, Image: reference, HostConfig: policy, StopTimeout: 1, ...options });
  await container.start();
}
