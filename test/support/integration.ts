import { randomUUID } from 'node:crypto';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type Docker from 'dockerode';
import { createChecks } from '../../src/activities/check.ts';
import { integrationCheck } from '../../src/checks/integration/index.ts';
import type { IntegrationPlan } from '../../src/checks/integration/plan.ts';
import type { CheckOutcome, VerifiedImage } from '../../src/domain/outcomes.ts';
import { checkOf, planOf } from './plans.ts';
import { checkContext } from './smoke.ts';

export interface IntegrationAttempt {
  readonly docker: Docker;
  readonly image: VerifiedImage;
  readonly integration: IntegrationPlan;
  /** The folder of the compose file. */
  readonly baseDir: string;
  readonly rollout?: string;
  readonly run?: string;
  readonly attempt?: number;
}

export interface RunningIntegration {
  readonly rollout: string;
  readonly environment: MockActivityEnvironment;
  readonly outcome: Promise<CheckOutcome>;
  /** What the activity itself warned of. */
  readonly warnings: readonly string[];
}

/** Runs the activity as a worker would, in a rollout of its own unless one is given. `env:API_KEY` is `hunter2`. */
export function startIntegration({
  docker,
  image,
  integration,
  baseDir,
  rollout = `rollout:test:${randomUUID()}`,
  run = randomUUID(),
  attempt = 1,
}: IntegrationAttempt): RunningIntegration {
  const warnings: string[] = [];
  const logger = new DefaultLogger('WARN', ({ message, meta }) => {
    // The SDK's own word on every failure, which the outcome says too.
    if (message !== 'Activity failed') warnings.push(`${message}: ${meta?.error}`);
  });
  const info = { workflowExecution: { workflowId: rollout, runId: run }, activityId: '1', attempt };
  const environment = new MockActivityEnvironment(info, { logger });
  const secrets = (value: string) => (value === 'env:API_KEY' ? 'hunter2' : value);
  const check = integrationCheck.create(checkContext(docker, { secrets, baseDir }), undefined);
  const plan = planOf({ repository: image.repository, checks: [checkOf('integration', integration)] });
  const outcome: RunningIntegration['outcome'] = Promise.resolve(check).then((made) => {
    const { 'check:integration': activity } = createChecks({ checks: new Map([['integration', made]]) });
    if (activity === undefined) throw new Error('there is no such activity');
    return environment.run(activity, { plan, image });
  });
  // Whoever waits for it looks at it later.
  outcome.catch(() => undefined);
  return { rollout, environment, warnings, outcome };
}
