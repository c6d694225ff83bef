import { repositoryAtGitHub } from '../../settings/github.ts';
import { duration, text } from '../../settings/scalars.ts';
import { map, optional } from '../../settings/wording.ts';
import { defineDeploy } from '../deploy.ts';
import { askedAt, refOf } from '../kit/github.ts';
import type { DeploymentDeployPlan } from './deployer.ts';

const schema = map(
  {
    ...askedAt,
    environment: optional(text('the name of an environment'), "Default: the stage's name."),
    timeout: optional(duration, 'Longest time until somebody reports its success. Default: 30m.'),
  },
  'A Deployment at GitHub, which somebody else carries out and reports on.',
);

/** A Deployment at GitHub; whoever listens to it carries it out, and reports its status. */
export const deploymentDeploy = defineDeploy({
  kind: 'deployment',
  asks: 'GitHub',
  proves: true,
  schema,
  resolve(input, stage, complain) {
    const timeoutMs = input.timeout ?? 30 * 60_000;
    const settings: DeploymentDeployPlan = {
      repository: repositoryAtGitHub(input, stage, complain),
      ref: refOf(input, stage),
      environment: input.environment ?? stage.stage,
      timeoutMs,
    };
    return { settings, timeoutMs: 2 * timeoutMs };
  },
  repositoriesOf: ({ repository }) => [repository],
  async create(context) {
    const { createDeploymentDeployer } = await import('./deployer.ts');
    return createDeploymentDeployer(context);
  },
});
