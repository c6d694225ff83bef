import type Docker from 'dockerode';
import type { Log } from '../../domain/log.ts';
import type { Credentials } from '../../platform/docker/images.ts';

export interface DockerDeployerOptions {
  readonly docker: Docker;
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Id of the container that this worker runs in, where it runs in one: see workerReach. It cannot replace itself. */
  readonly ownContainer?: string;
  readonly now?: () => Date;
}
