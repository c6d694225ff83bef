import assert from 'node:assert/strict';
import { WithStartWorkflowOperation, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { globalHoldQuery, globalHoldUpdate, globalReleaseUpdate } from '../../src/contracts/messages.ts';
import { globalHoldId, globalHoldStartOptions } from '../../src/contracts/start-options.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import { exact, stage } from '../support/lane-moves.ts';
import { digestOf } from '../support/plans.ts';
import { heardQuery } from '../support/stand-in-workflows.ts';
import { callAs, laneActivities, standIn, startStandIns, untilHeard } from '../support/stand-ins.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import type { TestWorkers } from '../support/worker.ts';
import { terminateAll } from '../support/workflow-tests.ts';

describe('the global hold', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  before(async () => {
    temporal = await startNamespace();
    workers = await startStandIns(temporal);
  });
  // There is one global hold for all services.
  afterEach(() => terminateAll(temporal.client));
  after(async () => {
    await workers.stop();
    await temporal.stop();
  });

  const said = { by: 'ann', reason: 'an incident' };
  const hold = () =>
    temporal.client.workflow.executeUpdateWithStart(globalHoldUpdate, {
      args: [said],
      startWorkflowOperation: new WithStartWorkflowOperation('globalHold', globalHoldStartOptions()),
    });
  const release = () => temporal.client.workflow.getHandle(globalHoldId).executeUpdate(globalReleaseUpdate, { args: [said] });
  const aHolder = async () => {
    const service = 'web';
    const { rollout, runId } = await standIn(temporal, 'rollout:web:latest:a', { status: 'waiting' });
    const me = { rollout, runId };
    const act = laneActivities(temporal);
    const at = { ...me, tag: 'latest' as Tag, digest: digestOf('a'), stages: [stage], manual: false };
    await callAs(me, act.enterLane, { service, request: at });
    await callAs(me, act.reportVerified, { service, request: { ...at, policy: exact } });
    await callAs(me, act.requestTurn, { service, request: { ...me, stage, policy: exact } });
    return () => callAs(me, act.beginChange, { service, request: { ...me, stage, windows: [] } });
  };

  it('that was never set holds nothing back', async () => {
    const begin = await aHolder();
    assert.equal((await begin()).kind, 'go');
  });

  it('holds all services back while it is set, and wakes those that wait when it is released', async () => {
    const begin = await aHolder();
    const waiting = await standIn(temporal, 'rollout:other:latest:a', { status: 'waiting' });
    const busy = await standIn(temporal, 'rollout:other:latest:b', { status: 'blocked' });
    await eventually('them to be listed', async () => {
      const query = `ExecutionStatus = 'Running' AND (LandfallStatus = 'waiting' OR LandfallStatus = 'blocked')`;
      return (await temporal.client.workflow.count(query)).count === 3;
    });
    assert.equal((await hold()).hold?.by, 'ann (unverified)');
    assert.deepEqual(await begin(), { kind: 'wait', reason: 'everything is held by ann (unverified): an incident' });
    await untilHeard(waiting.handle, /^everything was held by ann/);
    await release();
    await untilHeard(waiting.handle, /^everything was released by ann \(unverified\)$/);
    assert.equal((await begin()).kind, 'go');
    assert.deepEqual(await busy.handle.query(heardQuery), []);
  });

  it('is read without a worker', async () => {
    await hold();
    await workers.stop();
    const { memo } = await temporal.client.workflow.getHandle(globalHoldId).describe();
    assert.deepEqual({ ...(memo?.hold ?? {}), at: '' }, { by: 'ann (unverified)', reason: 'an incident', at: '' });
    workers = await startStandIns(temporal);
  });

  it('cannot be released where it is not set', async () => {
    await hold();
    await release();
    await assert.rejects(release(), (error) => {
      assert.ok(error instanceof WorkflowUpdateFailedError);
      assert.match(error.cause?.message ?? '', /nothing to release: there is no global hold/);
      return true;
    });
  });

  it('stays set when it continues as new, also in its memo', async () => {
    const begin = await aHolder();
    await temporal.client.workflow.start('globalHold', { ...globalHoldStartOptions(), args: [{ longestHistory: 8 }] });
    const globalHold = temporal.client.workflow.getHandle(globalHoldId);
    const firstRun = (await globalHold.describe()).runId;
    await hold();
    await eventually('the global hold to continue as new', async () => (await globalHold.describe()).runId !== firstRun);
    assert.equal((await begin()).kind, 'wait');
    assert.equal((await globalHold.query(globalHoldQuery)).hold?.reason, 'an incident');
    await release();
    assert.equal((await begin()).kind, 'go');
  });

  it('shows that waiting rollouts could not be told, and goes on', async () => {
    await workers.stop();
    workers = await startStandIns(temporal, {
      async nudgeWaiting() {
        throw ApplicationFailure.nonRetryable('the list is gone');
      },
    });
    await hold();
    const handle = temporal.client.workflow.getHandle(globalHoldId);
    const details = await eventually('the details to say so', async () => {
      const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
      return /were not told/.test(currentDetails) && currentDetails;
    });
    assert.match(details, /^everything was held by ann.*go on at their next poll: the list is gone$/);
    await release();
    await workers.stop();
    workers = await startStandIns(temporal);
  });

  it('that was terminated holds nothing back', async () => {
    const begin = await aHolder();
    await hold();
    await temporal.client.workflow.getHandle(globalHoldId).terminate('by a test');
    assert.equal((await begin()).kind, 'go');
  });
});
