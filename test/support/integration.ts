import { randomUUID } from 'node:crypto';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type Docker from 'dockerode';
import { createIntegrate } from '../../src/activities/integrate.ts';
import type { IntegrationSummary, RateLimited, VerifiedImage } from '../../src/domain/outcomes.ts';
import type { IntegrationPlan } from '../../src/domain/plan.ts';
import { planOf } from './plans.ts';
import { keyOfTests } from './smoke.ts';

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
  readonly outcome: Promise<IntegrationSummary | RateLimited>;
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
  const activities = createIntegrate({
    docker,
    secrets: (value) => (value === 'env:API_KEY' ? 'hunter2' : value),
    workerId: 'worker-of-tests',
    ownershipKey: keyOfTests,
    baseDir,
    credentials: async () => undefined,
    env: process.env,
  });
  const plan = planOf({ repository: image.repository, integration });
  const outcome: RunningIntegration['outcome'] = environment.run(activities.integrate, { plan, image });
  // Whoever waits for it looks at it later.
  outcome.catch(() => undefined);
  return { rollout, environment, warnings, outcome };
}
