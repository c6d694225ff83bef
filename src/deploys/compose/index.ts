import { join, resolve } from 'node:path';
import { defineDeploy } from '../deploy.ts';
import { composeSchema, fillCompose, resolveCompose } from './plan.ts';

/** `docker compose up` of some services, in a directory of the host. */
export const composeDeploy = defineDeploy({
  kind: 'compose',
  foresees: true,
  schema: composeSchema,
  alternatives: { '': ['file', 'files'] },
  resolve(input, stage, complain) {
    const settings = resolveCompose(input, stage, complain);
    const { before, after, timeoutMs } = settings;
    // Each command before and after, the start itself, and a wait for a lock that a cut-off try of it holds.
    return { settings, timeoutMs: (2 + before.length + after.length) * timeoutMs };
  },
  fill: fillCompose,
  containerOf: ({ project, directory }, service) =>
    project === undefined ? { service, directory: resolve(directory) } : { service, project },
  async create({ data, docker, credentials, env, hostReach, locks }) {
    const { createComposeDeployer } = await import('./deployer.ts');
    return createComposeDeployer({
      docker,
      env,
      credentials,
      locks,
      folder: join(data, 'compose'),
      isOnHost: hostReach === 'loopback' && !/^(?:tcp|ssh|https?):/.test(env.DOCKER_HOST ?? ''),
    });
  },
});
