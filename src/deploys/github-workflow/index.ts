import { z } from 'zod';
import { repositoryAtGitHub } from '../../settings/github.ts';
import { duration, text } from '../../settings/scalars.ts';
import { map, optional } from '../../settings/wording.ts';
import { defineDeploy } from '../deploy.ts';
import { askedAt, refOf } from '../kit/github.ts';
import type { WorkflowDeployPlan } from './deployer.ts';

const schema = map(
  {
    repository: askedAt.repository,
    workflow: optional(text('the file name or id of a workflow'), 'File name, such as deploy.yml, or id.'),
    ref: askedAt.ref,
    inputs: optional(
      z.record(text('the name of an input'), z.string()),
      'Inputs; {service}, {stage}, {image}, {tag}, {digest}, {commit} and {rollout} are filled in.',
    ),
    timeout: optional(duration, 'Longest time of the run. Default: 30m.'),
  },
  'A workflow of GitHub Actions, by workflow_dispatch.',
);

/** GitHub Actions, by `workflow_dispatch`; the conclusion of the run is the result. */
export const workflowDeploy = defineDeploy({
  kind: 'workflow',
  asks: 'GitHub',
  schema,
  resolve(input, stage, complain) {
    const { workflow = '', inputs = {}, timeout: timeoutMs = 30 * 60_000 } = input;
    if (workflow === '') complain(['workflow'], 'expected the file name or id of a workflow, such as deploy.yml, found nothing');
    const repository = repositoryAtGitHub(input, stage, complain);
    const settings: WorkflowDeployPlan = { repository, workflow, ref: refOf(input, stage), inputs, timeoutMs };
    return { settings, timeoutMs: 2 * timeoutMs };
  },
  repositoriesOf: ({ repository }) => [repository],
  async create(context) {
    const { createWorkflowDeployer } = await import('./deployer.ts');
    return createWorkflowDeployer(context);
  },
});
