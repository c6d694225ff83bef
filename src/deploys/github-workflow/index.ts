import { defineDeploy } from '../deploy.ts';
import { resolveWorkflow, workflowSchema } from './plan.ts';

/** GitHub Actions, by `workflow_dispatch`; the conclusion of the run is the result. */
export const workflowDeploy = defineDeploy({
  kind: 'workflow',
  asks: 'GitHub',
  schema: workflowSchema,
  resolve(input, stage, complain) {
    const settings = resolveWorkflow(input, stage, complain);
    return { settings, timeoutMs: 2 * settings.timeoutMs };
  },
  repositoriesOf: ({ repository }) => [repository],
  async create({ clientFor }) {
    const { createWorkflowDeployer } = await import('./deployer.ts');
    return createWorkflowDeployer({ clientFor });
  },
});
