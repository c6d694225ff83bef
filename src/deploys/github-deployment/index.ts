import { defineDeploy } from '../deploy.ts';
import { deploymentSchema, resolveDeployment } from './plan.ts';

/** A Deployment at GitHub; whoever listens to it carries it out, and reports its status. */
export const deploymentDeploy = defineDeploy({
  kind: 'deployment',
  asks: 'GitHub',
  proves: true,
  schema: deploymentSchema,
  resolve(input, stage, complain) {
    const settings = resolveDeployment(input, stage, complain);
    return { settings, timeoutMs: 2 * settings.timeoutMs };
  },
  repositoriesOf: ({ repository }) => [repository],
  async create({ clientFor }) {
    const { createDeploymentDeployer } = await import('./deployer.ts');
    return createDeploymentDeployer({ clientFor });
  },
});
