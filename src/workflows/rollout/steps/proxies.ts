import { type ActivityInterfaceFor, proxyActivities, proxyLocalActivities, scheduleActivity } from '@temporalio/workflow';
import type { CheckInput } from '../../../contracts/activities/checks.ts';
import type { HostActivities } from '../../../contracts/activities/delivery.ts';
import type { Activities } from '../../../contracts/activities/index.ts';
import { deployQueue, taskQueues } from '../../../contracts/start-options.ts';
import { heartbeatTimeout } from '../../../contracts/timing.ts';
import type { CheckOutcome } from '../../../domain/outcomes.ts';
import type { CheckPlan, StagePlan } from '../../../domain/plan.ts';

const usual = { heartbeatTimeout, cancellationType: 'WAIT_CANCELLATION_COMPLETED' } as const;

/** Registries and forges come back: about half an hour of trying before a person is asked. A first clone may take minutes. */
export const network = proxyActivities<
  Pick<Activities, 'verify' | 'confirm' | 'dispatch' | 'propose' | 'mergeChange' | 'baseHolds' | 'revertChange'>
>({
  startToCloseTimeout: '12m',
  ...usual,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 35 },
});

/** Best effort: the rollout goes on if this fails. */
export const bestEffort = proxyActivities<Pick<Activities, 'tidyChange'>>({
  startToCloseTimeout: '1m',
  ...usual,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumAttempts: 4 },
});

/** A check, which takes as long as its plan says. */
export function runCheck({ kind, needsDocker, timeoutMs }: CheckPlan, input: CheckInput): Promise<CheckOutcome> {
  return scheduleActivity(`check:${kind}`, [input], {
    ...(needsDocker && { taskQueue: taskQueues.docker }),
    priority: { priorityKey: priorityOf(input.image.size) },
    startToCloseTimeout: timeoutMs,
    ...usual,
    retry: { initialInterval: '2s', maximumInterval: '1m', maximumAttempts: 15 },
  });
}

const mib = 1024 ** 2;

/** Of those that wait for a worker, what is soon done comes first. 3 is Temporal's default, 1 the first. @param size in bytes, compressed */
function priorityOf(size: number): number {
  if (size < 100 * mib) return 2;
  return size < 1024 * mib ? 3 : 4;
}

/** The slowest pull that is worth waiting for, beside a deploy's own time-out. */
const pullMs = 15 * 60_000;

/** Done on the stage's host. One that restarts Docker or its worker is waited for: an hour of trying, and for ever for a worker. */
export function onHost(stage: StagePlan): ActivityInterfaceFor<HostActivities> {
  const { deploy, watch } = stage;
  return proxyActivities<HostActivities>({
    ...(deploy?.host !== undefined && { taskQueue: deployQueue(deploy.host) }),
    startToCloseTimeout: pullMs + Math.max(deploy?.timeoutMs ?? 0, watch?.withinMs ?? 0),
    ...usual,
    retry: { initialInterval: '1s', maximumInterval: '30s', maximumAttempts: 120 },
  });
}

/** Asked again and again while a rollout waits, for one event of history each: the next poll is the next attempt. */
export const polling = proxyLocalActivities<Pick<Activities, 'proposalState'>>({
  startToCloseTimeout: '20s',
  retry: { maximumAttempts: 1 },
});
