import { composeDeploy } from './compose/index.ts';
import type { DeployKind } from './deploy.ts';
import { dockerDeploy } from './docker/index.ts';
import { deploymentDeploy } from './github-deployment/index.ts';
import { workflowDeploy } from './github-workflow/index.ts';
import { kubernetesDeploy } from './kubernetes/index.ts';

/** Every way of deploying, in the order in which messages list them. To add one: its folder, and a line here. */
export const deploys: readonly DeployKind[] = [composeDeploy, dockerDeploy, kubernetesDeploy, workflowDeploy, deploymentDeploy];
