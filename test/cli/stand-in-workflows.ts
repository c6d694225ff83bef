import {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  proxyActivities,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import {
  abortUpdate,
  approveUpdate,
  decidedQuery,
  type RolloutStart,
  rejectUpdate,
  renewUpdate,
  retryUpdate,
  skipUpdate,
  stateQuery,
} from '../../src/contracts/messages.ts';
import { searchAttributes } from '../../src/contracts/start-options.ts';
import type { Reading, Unhealthy } from '../../src/domain/outcomes.ts';
import type { Approval, Decision, RolloutState, StepState, Waiver } from '../../src/domain/rollout-state.ts';

/** Fails, and is not tried again before the tests are over. */
const { smoke } = proxyActivities<{ smoke(): Promise<void> }>({
  startToCloseTimeout: '1m',
  retry: { initialInterval: '1h' },
});

/** On a host that nobody serves. */
const { snapshotStage } = proxyActivities<{ snapshotStage(): Promise<void> }>({
  taskQueue: 'landfall-deploy-nowhere',
  startToCloseTimeout: '1m',
});

/**
 * A stand-in for the real workflow: blocked at once, and ended by the first decision, whose words become the reason. Where the service
 * is called `retried`, its smoke test is tried again and again. Where its name begins with `asking`, it waits for an approval, and keeps
 * the decision whole; where it begins with `unhealthy`, its rollback failed; where it is called `stranded`, nobody takes its deploy.
 */
export async function rollout(start: RolloutStart): Promise<RolloutState> {
  const startedAt = start.push.receivedAt;
  const { plan, image } = start;
  const isRetried = plan.service === 'retried';
  const smokeStep: StepState = isRetried
    ? { step: 'smoke', status: 'running', startedAt }
    : { step: 'smoke', status: 'blocked', startedAt, failure: 'SmokeFailed', reason: 'exited with 3', details: logs };
  const isAsking = plan.service.startsWith('asking');
  const isStranded = plan.service === 'stranded';
  const ofStage = isStranded
    ? [{ step: 'deploy', stage: 'production', status: 'running', startedAt } as const]
    : isAsking
      ? asking(startedAt)
      : plan.service.startsWith('unhealthy')
        ? unhealthy(startedAt)
        : undefined;
  const steps: StepState[] = ofStage ?? [
    { step: 'verify', status: 'passed', startedAt, endedAt: new Date(Date.parse(startedAt) + 1_500).toISOString() },
    { step: 'scan', status: 'blocked', startedAt, failure: 'ScanRejected', reason: '1 critical finding', details: findings },
    smokeStep,
    { step: 'propose', stage: 'staging', status: 'pending' },
  ];
  let state: RolloutState = {
    service: plan.service,
    image,
    status: isAsking ? 'waiting' : 'blocked',
    ...(isAsking && { approvals: { production: [review] }, waivers: [waiver] }),
    reason: `asked: ${start.manual === true}, by: ${start.push.trigger?.by}, proof: ${start.push.trigger?.proof}, actor: ${start.push.actor}`,
    steps,
    proposals: {
      staging: { kind: 'branch', url: 'https://forge.example/pull/7', branch: 'landfall/app-staging', base: 'main', head: 'abc' },
      ...(isAsking && {
        production: {
          kind: 'branch',
          url: 'https://forge.example/pull/8',
          branch: 'landfall/app-production',
          base: 'main',
          head: 'def',
        },
      }),
    },
    startedAt,
    changedAt: startedAt,
  };
  const tell = (): void => {
    upsertSearchAttributes([{ key: searchAttributes.status, value: state.status }]);
    upsertMemo({ reason: state.reason });
  };
  const decide = (verb: string, status: RolloutState['status']) => (decision?: Decision) => {
    const words = [verb, decision?.stage, decision?.step, decision?.reason, `by ${decision?.by}`].filter(
      (word) => word !== undefined,
    );
    const before = state;
    state = { ...state, status, reason: words.join(' '), endedAt: new Date().toISOString() };
    return before;
  };
  setHandler(stateQuery, () => state);
  setHandler(decidedQuery, () => 3);
  setHandler(retryUpdate, decide('retry', 'proposed'));
  setHandler(renewUpdate, decide('renew', 'aborted'));
  setHandler(skipUpdate, decide('skip', 'proposed'));
  setHandler(rejectUpdate, decide('reject', 'rejected'), {
    validator: (decision?: Decision) => {
      if (decision?.step === 'verify') throw ApplicationFailure.nonRetryable('verify does not wait for a decision');
    },
  });
  setHandler(abortUpdate, decide('abort', 'aborted'));
  setHandler(approveUpdate, (decision?: Decision) => {
    const before = state;
    state = { ...state, status: 'delivered', reason: JSON.stringify(decision), endedAt: new Date().toISOString() };
    return before;
  });
  tell();
  if (isRetried) await smoke();
  if (isStranded) await snapshotStage();
  await condition(() => state.endedAt !== undefined && allHandlersFinished());
  tell();
  return state;
}

/** A rollback that an operator asked for tells its state as a rollout does. */
export const rollback = rollout;

const review: Approval = { by: 'ben', at: '2026-01-02T03:04:05.000Z', verified: true, way: 'review' };

const waiver: Waiver = { step: 'scan', by: 'ben', reason: 'not \u001b[31mreachable', at: '2026-01-02T03:04:05.000Z' };

function asking(startedAt: string): StepState[] {
  const reason = 'waits for 1 of ann, cleo to approve, until 2026-01-03T03:04:05.000Z';
  return [
    { step: 'propose', stage: 'production', status: 'passed', startedAt, endedAt: startedAt },
    { step: 'approve', stage: 'production', status: 'waiting', startedAt, reason },
    { step: 'merge', stage: 'production', status: 'pending' },
    { step: 'deploy', stage: 'production', status: 'pending' },
    { step: 'watch', stage: 'production', status: 'pending' },
  ];
}

function unhealthy(startedAt: string): StepState[] {
  const reading = (healthy: boolean, text: string): Reading => ({ at: '2026-01-02T03:04:05.000Z', healthy, text, tookMs: 5 });
  const failures = [reading(false, 'http https://x/health answered \u001b[31m503')];
  const now: Unhealthy = { readings: 9, failed: 3, slowestMs: 1_500, failures, log: 'no database' };
  const before = reading(false, 'http https://x/health answered 500');
  return [
    { step: 'merge', stage: 'staging', status: 'waiting', startedAt, reason: 'waits for a person to merge' },
    { step: 'deploy', stage: 'production', status: 'passed', startedAt, endedAt: startedAt, reason: 'recreated web-1' },
    { step: 'watch', stage: 'production', status: 'blocked', startedAt, failure: 'UnhealthyBefore', details: { before, now } },
    { step: 'rollback', stage: 'production', status: 'blocked', startedAt, failure: 'Unhealthy', details: [now] },
    { step: 'deploy', stage: 'canary', status: 'blocked', startedAt, failure: 'DeployFailed' },
  ];
}

const findings = [
  [
    {
      title: 'Scanned',
      passed: false,
      text: '1 critical',
      rows: [['critical', 'CVE-2021-44906', 'minimist 1.2.5', 'fixed in 1.2.6', 'linux/amd64', 'prototype pollution']],
    },
  ],
];
const logs = [
  { title: 'Smoke-tested', passed: false, text: 'platform linux/amd64, exit code 3', log: 'starting\nno database, giving up\n' },
];
