import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { DeployDependencies } from '../../src/activities/deploy.ts';
import { createComposeDeployer } from '../../src/adapters/deploy/compose.ts';
import type { Deployer } from '../../src/adapters/deploy/deployer.ts';
import { createHostLock } from '../../src/adapters/deploy/host-lock.ts';
import { createTurnGuard } from '../../src/adapters/deploy/turn-guard.ts';
import { createProbes } from '../../src/adapters/probe/probes.ts';
import type { DeployPlan } from '../../src/domain/plan.ts';

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
    deployers: { compose, docker: unwanted(), workflow: unwanted(), deployment: unwanted() },
    probes: createProbes({ docker, baseDir: tmpdir(), secrets: (value) => value, env }),
    turns: createTurnGuard(join(data, 'turns')),
    locks,
  };
}

function unwanted<Deploy extends DeployPlan>(): Deployer<Deploy> {
  const fail = async () => {
    throw new Error('no test of this deploys like that');
  };
  return { running: fail, deploy: fail, restore: fail, settle: fail };
}
