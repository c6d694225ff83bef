import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import Docker from 'dockerode';
import { createChecks } from '../../src/activities/check.ts';
import type { CheckContext } from '../../src/checks/check.ts';
import { smokeCheck } from '../../src/checks/smoke/index.ts';
import type { SmokePlan } from '../../src/checks/smoke/plan.ts';
import { type Digest, parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import type { CheckOutcome, VerifiedImage } from '../../src/domain/outcomes.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { Artifacts } from '../../src/platform/artifacts.ts';
import { hasInterface } from '../../src/platform/docker/connect.ts';
import { Registry } from '../../src/platform/registry/registry.ts';
import { hostPlatform } from './images.ts';
import { noClusters } from './no-clusters.ts';
import { checkOf } from './plans.ts';

/** Of all workers that tests start: what one leaves, another finds. */
export const keyOfTests = '0f'.repeat(32);

/** For what has to do without. */
export const noDocker = new Docker({ socketPath: '/nowhere/docker.sock' });

/** What checks use of a worker; secrets are what stands for them. */
export function checkContext(docker: Docker, changes: Partial<CheckContext> = {}): CheckContext {
  return {
    docker,
    clusters: noClusters,
    hostReach: 'loopback',
    hasInterface: (name) => hasInterface(name),
    workerId: 'worker-of-tests',
    ownershipKey: keyOfTests,
    secrets: (value) => value,
    credentials: async () => undefined,
    registry: new Registry({ credentials: async () => undefined, plainHttp: () => true }),
    plainHttp: () => true,
    artifacts: new Artifacts(tmpdir()),
    baseDir: tmpdir(),
    data: tmpdir(),
    env: process.env,
    log: { info: () => undefined, warn: () => undefined },
    now: () => new Date(),
    ...changes,
  };
}

/** A smoke plan that is quick to say no. */
export function smokePlan(changes: Partial<SmokePlan> = {}): SmokePlan {
  return {
    timeoutMs: 60_000,
    stayUpMs: 500,
    memoryBytes: 64 * 1024 * 1024,
    cpus: 1,
    pids: 32,
    capabilities: [],
    env: {},
    ...changes,
  };
}

/** @param repository `127.0.0.1:PORT/team/app` */
export function imageToSmoke(repository: string, digest: Digest, platforms: readonly string[] = [hostPlatform()]): VerifiedImage {
  return {
    repository: parseRepository(repository),
    tag: 'latest' as Tag,
    digest,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    platforms: platforms.map((platform) => ({ platform, digest })),
    size: 1,
  };
}

export interface SmokeAttempt {
  readonly docker: Docker;
  readonly image: VerifiedImage;
  readonly smoke: SmokePlan;
  readonly rollout?: string;
  readonly run?: string;
  readonly attempt?: number;
  /** Of the plan. */
  readonly platforms?: readonly string[];
  readonly dependencies?: Partial<CheckContext>;
}

export interface RunningSmoke {
  readonly rollout: string;
  readonly environment: MockActivityEnvironment;
  readonly outcome: Promise<CheckOutcome>;
  /** What the activity itself warned of. */
  readonly warnings: readonly string[];
  /** How often it has told Temporal that it lives. */
  readonly heartbeats: () => number;
}

/** Runs the activity as a worker would, in a rollout of its own unless one is given. */
export function startSmoke({
  docker,
  image,
  smoke,
  rollout = `rollout:test:${randomUUID()}`,
  ...rest
}: SmokeAttempt): RunningSmoke {
  const info = {
    workflowExecution: { workflowId: rollout, runId: rest.run ?? randomUUID() },
    activityId: '1',
    attempt: rest.attempt ?? 1,
  };
  const warnings: string[] = [];
  const logger = new DefaultLogger('WARN', ({ message, meta }) => {
    // The SDK's own word on every failure, which the outcome says too.
    if (message !== 'Activity failed') warnings.push(`${message}: ${meta?.error}`);
  });
  const environment = new MockActivityEnvironment(info, { logger });
  let heartbeats = 0;
  environment.on('heartbeat', () => {
    heartbeats += 1;
  });
  const check = smokeCheck.create(checkContext(docker, rest.dependencies), undefined);
  const plan: Plan = {
    service: 'app',
    repository: image.repository,
    tags: { kind: 'exact', tags: [image.tag] },
    platforms: rest.platforms ?? [],
    checks: [checkOf('smoke', smoke)],
    stages: [],
    decideWithinMs: 1000,
  };
  return {
    rollout,
    environment,
    warnings,
    heartbeats: () => heartbeats,
    outcome: Promise.resolve(check).then((made) => {
      const { 'check:smoke': activity } = createChecks({ checks: new Map([['smoke', made]]) });
      if (activity === undefined) throw new Error('there is no such activity');
      return environment.run(activity, { plan, image });
    }),
  };
}
