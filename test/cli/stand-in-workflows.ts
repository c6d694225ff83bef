import {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Decision, RolloutState, StepState } from '../../src/domain/rollout-state.ts';
import {
  abortUpdate,
  type LookUp,
  lookUpSignal,
  type RolloutStart,
  rejectUpdate,
  retryUpdate,
  skipUpdate,
  stateQuery,
} from '../../src/workflows/messages.ts';
import { searchAttributes } from '../../src/workflows/start-options.ts';

/** Stand-ins for the real workflows: blocked at once, and ended by the first decision, whose words become the reason. */
export async function rollout(start: RolloutStart): Promise<RolloutState> {
  const startedAt = start.push.receivedAt;
  const steps: StepState[] = [
    { step: 'verify', status: 'passed', startedAt, endedAt: new Date(Date.parse(startedAt) + 1_500).toISOString() },
    { step: 'scan', status: 'blocked', startedAt, failure: 'ScanRejected', reason: '1 critical finding', details: findings },
    { step: 'smoke', status: 'blocked', startedAt, failure: 'SmokeFailed', reason: 'exited with 3', details: logs },
    { step: 'propose', stage: 'staging', status: 'pending' },
  ];
  const { plan, image } = start;
  let state: RolloutState = {
    service: plan.service,
    image,
    status: 'blocked',
    reason: `asked: ${start.asked === true}, actor: ${start.push.actor}`,
    steps,
    proposals: { staging: { url: 'https://forge.example/pull/7', branch: 'landfall/app-staging', base: 'main', head: 'abc' } },
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
    state = { ...state, status, reason: words.join(' '), endedAt: new Date().toISOString() };
    return state;
  };
  setHandler(stateQuery, () => state);
  setHandler(retryUpdate, decide('retry', 'proposed'));
  setHandler(skipUpdate, decide('skip', 'proposed'));
  setHandler(rejectUpdate, decide('reject', 'rejected'), {
    validator: (decision?: Decision) => {
      if (decision?.step === 'verify') throw ApplicationFailure.nonRetryable('verify does not wait for a decision');
    },
  });
  setHandler(abortUpdate, decide('abort', 'aborted'));
  tell();
  await condition(() => state.endedAt !== undefined && allHandlersFinished());
  tell();
  return state;
}

/** Keeps what it was asked where a test can read it. */
export async function resolve(): Promise<LookUp> {
  let asked: LookUp | undefined;
  setHandler(lookUpSignal, (lookUp) => {
    asked = lookUp;
  });
  await condition(() => asked !== undefined);
  if (asked === undefined) throw ApplicationFailure.nonRetryable(`${workflowInfo().workflowId} was asked nothing`);
  return asked;
}

const findings = [
  {
    worst: [
      {
        kind: 'vulnerability',
        id: 'CVE-2021-44906',
        severity: 'critical',
        where: 'minimist',
        installed: '1.2.5',
        fixed: '1.2.6',
        title: 'prototype pollution',
        platform: 'linux/amd64',
      },
    ],
  },
];
const logs = [{ platform: 'linux/amd64', exitCode: 3, log: 'starting\nno database, giving up\n' }];
