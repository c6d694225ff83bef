import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import type { CleanUpLater } from '../../platform/docker/clean-up.ts';
import { removeNetwork } from '../../platform/docker/remove.ts';

/** A bridge network of its own, so that the container under test meets nothing else. */
export async function createSmokeNetwork(
  docker: Docker,
  name: string,
  labels: Readonly<Record<string, string>>,
  later: CleanUpLater,
): Promise<void> {
  later(`remove network ${name}`, () => removeNetwork(docker, name));
  try {
    await docker.createNetwork({ Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: { ...labels } });
  } catch (error) {
    if (!/address pool/i.test(messageOf(error))) throw error;
    throw new Error(
      `Docker has no addresses left for another network (${messageOf(error)}): remove unused ones with 'docker network prune', ` +
        "or give Docker more with default-address-pools in the daemon's configuration",
      { cause: error },
    );
  }
}
