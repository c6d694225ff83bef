import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { rolloutStartOptions } from '../../src/contracts/start-options.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { imageOf, planOf, pushOf } from './plans.ts';
import { startNamespace } from './temporal.ts';
import { workflowTests } from './workflow-tests.ts';

function nobodyAnswers(error: unknown): boolean {
  assert.ok(error instanceof WorkflowFailedError, String(error));
  assert.match(inspect(error), /nobody answers \w+ of rollout:/);
  return true;
}

describe('Workers that tests share', function () {
  this.timeout(60_000);
  const { temporal, aPlan, work, push, result, until, unanswered } = workflowTests('shared');
  let earlier: { plan: Plan; handle: WorkflowHandle };
  const scan = async (): Promise<never> => {
    throw ApplicationFailure.nonRetryable('a finding', 'ScanRejected');
  };

  it('answer each test as it said', async () => {
    await work({ 'check:scan': scan });
    const plan = aPlan();
    const handle = await push(plan, 'one');
    assert.match((await until(handle, 'blocked')).reason ?? '', /a finding/);
    earlier = { plan, handle };
  });

  it('neither keep the answers of an earlier test nor let its rollouts go on', async () => {
    assert.equal((await earlier.handle.describe()).status.name, 'TERMINATED');
    await work();
    assert.equal((await result(await push(aPlan(), 'one'))).status, 'proposed');
    await assert.rejects(result(await push(earlier.plan, 'one')), nobodyAnswers);
  });

  it('refuse a service that no test has, and fail the test', async () => {
    await work();
    const plan = planOf({ service: 'unheard-of' });
    const image = imageOf(plan, 'one');
    const handle = await temporal.client.workflow.start('rollout', rolloutStartOptions({ plan, image, push: pushOf(image) }));
    await assert.rejects(result(handle), nobodyAnswers);
    // Without this the hook after each test fails.
    assert.match(unanswered.splice(0).join(), /of rollout:unheard-of:latest/);
  });

  it('see nothing of other files, whose namespace of the same server is another', async () => {
    const other = await startNamespace();
    assert.notEqual(other.namespace, temporal.client.options.namespace);
    assert.equal((await other.client.workflow.count()).count, 0);
    await other.stop();
  });
});
