import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { DeployDependencies } from '../../src/activities/deploy.ts';
import { createComposeDeployer } from '../../src/deploys/compose/deployer.ts';
import { deploys } from '../../src/deploys/index.ts';
import { createTurnGuard } from '../../src/deploys/kit/turn-guard.ts';
import { createHostLock } from '../../src/platform/files/host-lock.ts';
import { createProbes } from '../../src/probes/index.ts';
import { noClusters } from '../support/no-clusters.ts';

export interface DeployFolders {
  readonly data: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** As a worker has them, for compose. */
export function deployDependencies(docker: Docker, { data, env }: DeployFolders): DeployDependencies {
  const locks = createHostLock(join(data, 'locks'));
  const folder = join(data, 'deploy');
  const compose = createComposeDeployer({ docker, env, credentials: async () => undefined, locks, folder });
  return {
    deployers: new Map([['compose', compose]]),
    probes: createProbes({ docker, deploys, clusters: noClusters, baseDir: tmpdir(), secrets: (value) => value, env }),
    turns: createTurnGuard(join(data, 'turns')),
    locks,
  };
}
