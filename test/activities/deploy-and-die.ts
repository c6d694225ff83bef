import { MockActivityEnvironment } from '@temporalio/testing';
import { createDeploy } from '../../src/activities/deploy.ts';
import type { RollbackInput } from '../../src/contracts/activities/delivery.ts';
import { ensureDocker } from '../support/docker.ts';
import { type DeployFolders, deployDependencies } from './deploy-dependencies.ts';

/** A worker that is to be killed: it runs `deployStage`, or `restoreStage` where there is a `before`, with the JSON of its argument. */
interface Order {
  readonly input: RollbackInput | Omit<RollbackInput, 'before'>;
  readonly workflowId: string;
  readonly folders: DeployFolders;
}

const { input, workflowId, folders } = JSON.parse(process.argv[2] ?? '') as Order;
const { deployStage, rollBackStage: restoreStage } = createDeploy(deployDependencies(await ensureDocker(), folders));
const environment = new MockActivityEnvironment({ workflowExecution: { workflowId, runId: 'run-1' } });
if ('before' in input) await environment.run(restoreStage, input);
else await environment.run(deployStage, input);
