import { defineDeploy } from '../deploy.ts';
import { dockerSchema, fillDocker, resolveDocker } from './plan.ts';

/** Containers of the host are recreated with the new image, and with the settings that they have. */
export const dockerDeploy = defineDeploy({
  kind: 'docker',
  schema: dockerSchema,
  alternatives: { '': ['container', 'containers', 'label'] },
  resolve: (input, _stage, complain) => resolveDocker(input, complain),
  fill: fillDocker,
  containerOf: (_settings, container) => ({ container }),
  async create({ docker, credentials, log, ownContainer }) {
    const { createDockerDeployer } = await import('./deployer.ts');
    return createDockerDeployer({ docker, credentials, log, ...(ownContainer !== undefined && { ownContainer }) });
  },
});
