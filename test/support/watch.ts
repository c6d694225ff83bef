import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type Docker from 'dockerode';
import { createWatch, type WatchDependencies } from '../../src/activities/watch.ts';
import type { WatchStageInput } from '../../src/contracts/activities/delivery.ts';
import { deploys } from '../../src/deploys/index.ts';
import type { RateLimited, RunningImage, VerifiedImage, Watched } from '../../src/domain/outcomes.ts';
import type { ProbePlan, StagePlan, WatchPlan } from '../../src/domain/plan.ts';
import { createProbes } from '../../src/probes/index.ts';
import { noClusters } from './no-clusters.ts';
import { imageOf, planOf, stageOf, verifiedOf } from './plans.ts';

/** A watch that is quick to say yes or no. */
export function watchPlan(probes: readonly ProbePlan[], changes: Partial<WatchPlan> = {}): WatchPlan {
  return { probes, forMs: 400, intervalMs: 100, failures: 2, startPeriodMs: 0, withinMs: 20_000, ...changes };
}

export interface WatchAttempt {
  readonly docker: Docker;
  readonly watch: WatchPlan;
  readonly deploy?: StagePlan['deploy'];
  readonly image?: VerifiedImage;
  readonly expected?: WatchStageInput['expected'];
  readonly running?: readonly RunningImage[];
  readonly clientFor?: WatchDependencies['clientFor'];
  /** What the attempt before noted in its heartbeats. */
  readonly before?: unknown;
}

export interface RunningWatch {
  readonly environment: MockActivityEnvironment;
  readonly outcome: Promise<Watched | RateLimited>;
  /** What went with each heartbeat. */
  readonly beats: readonly unknown[];
}

/** Runs the activity as a worker would. */
export function startWatch({ docker, watch, deploy, before, ...attempt }: WatchAttempt): RunningWatch {
  const environment = new MockActivityEnvironment({ heartbeatDetails: before }, { logger: new DefaultLogger('ERROR') });
  const beats: unknown[] = [];
  environment.on('heartbeat', (details: unknown) => beats.push(details));
  const secrets = (value: string) => value;
  const activities = createWatch({
    probes: createProbes({ docker, deploys, clusters: noClusters, baseDir: '/', secrets, env: process.env }),
    clientFor: attempt.clientFor ?? (() => Promise.reject(new Error('GitHub was asked'))),
    forgeFor(repository) {
      throw new Error(`the forge of ${repository} was asked`);
    },
  });
  const stage = stageOf('production', { watch, ...(deploy !== undefined && { deploy }) });
  const plan = planOf({ stages: [stage] });
  const input: WatchStageInput = {
    plan,
    stage,
    image: attempt.image ?? verifiedOf(imageOf(plan, 'A')),
    running: attempt.running ?? [],
    ...(attempt.expected !== undefined && { expected: attempt.expected }),
  };
  const outcome: RunningWatch['outcome'] = environment.run(activities.watchStage, input);
  // Whoever waits for it looks at it later.
  outcome.catch(() => undefined);
  return { environment, outcome, beats };
}
