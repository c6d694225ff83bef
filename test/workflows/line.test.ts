import assert from 'node:assert/strict';
import { WithStartWorkflowOperation, WorkflowUpdateFailedError } from '@temporalio/client';
import { lineQuery, resumeLineUpdate, stopLineUpdate } from '../../src/contracts/messages.ts';
import { lineId, lineStartOptions } from '../../src/contracts/start-options.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import { exact, stage } from '../support/lane-moves.ts';
import { digestOf } from '../support/plans.ts';
import { heardQuery } from '../support/stand-in-workflows.ts';
import { callAs, laneActivities, standIn, startStandIns, untilHeard } from '../support/stand-ins.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import type { TestWorkers } from '../support/worker.ts';
import { terminateAll } from '../support/workflow-tests.ts';

describe('the line', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  before(async () => {
    temporal = await startNamespace();
    workers = await startStandIns(temporal);
  });
  // There is one line for all services.
  afterEach(() => terminateAll(temporal.client));
  after(async () => {
    await workers.stop();
    await temporal.stop();
  });

  const said = { by: 'ann', reason: 'an incident' };
  const stop = () =>
    temporal.client.workflow.executeUpdateWithStart(stopLineUpdate, {
      args: [said],
      startWorkflowOperation: new WithStartWorkflowOperation('line', lineStartOptions()),
    });
  const resume = () => temporal.client.workflow.getHandle(lineId).executeUpdate(resumeLineUpdate, { args: [said] });
  const aHolder = async () => {
    const service = 'web';
    const { rollout, runId } = await standIn(temporal, 'rollout:web:latest:a', { status: 'waiting' });
    const me = { rollout, runId };
    const act = laneActivities(temporal);
    const at = { ...me, tag: 'latest' as Tag, digest: digestOf('a'), stages: [stage], asked: false };
    await callAs(me, act.enterLane, { service, at });
    await callAs(me, act.tellVerified, { service, at: { ...at, policy: exact } });
    await callAs(me, act.requestTurn, { service, at: { ...me, stage, policy: exact } });
    return () => callAs(me, act.beginChange, { service, at: { ...me, stage, windows: [] } });
  };

  it('that was never stopped holds nothing back', async () => {
    const begin = await aHolder();
    assert.equal((await begin()).kind, 'go');
  });

  it('holds all services back while it is stopped, and wakes those that wait when it is resumed', async () => {
    const begin = await aHolder();
    const waiting = await standIn(temporal, 'rollout:other:latest:a', { status: 'waiting' });
    const busy = await standIn(temporal, 'rollout:other:latest:b', { status: 'blocked' });
    await eventually('them to be listed', async () => {
      const query = `ExecutionStatus = 'Running' AND (LandfallStatus = 'waiting' OR LandfallStatus = 'blocked')`;
      return (await temporal.client.workflow.count(query)).count === 3;
    });
    assert.equal((await stop()).hold?.by, 'ann (unverified)');
    assert.deepEqual(await begin(), { kind: 'wait', reason: 'the line was stopped by ann (unverified): an incident' });
    await untilHeard(waiting.handle, /^the line was stopped by ann/);
    await resume();
    await untilHeard(waiting.handle, /^the line was resumed by ann \(unverified\)$/);
    assert.equal((await begin()).kind, 'go');
    assert.deepEqual(await busy.handle.query(heardQuery), []);
  });

  it('is read without a worker', async () => {
    await stop();
    await workers.stop();
    const { memo } = await temporal.client.workflow.getHandle(lineId).describe();
    assert.deepEqual({ ...(memo?.hold ?? {}), at: '' }, { by: 'ann (unverified)', reason: 'an incident', at: '' });
    workers = await startStandIns(temporal);
  });

  it('cannot be resumed where it is not stopped', async () => {
    await stop();
    await resume();
    await assert.rejects(resume(), (error) => {
      assert.ok(error instanceof WorkflowUpdateFailedError);
      assert.match(error.cause?.message ?? '', /nothing to resume: the line is not stopped/);
      return true;
    });
  });

  it('stays stopped when it continues as new, also in its memo', async () => {
    const begin = await aHolder();
    await temporal.client.workflow.start('line', { ...lineStartOptions(), args: [{ longestHistory: 8 }] });
    const line = temporal.client.workflow.getHandle(lineId);
    const firstRun = (await line.describe()).runId;
    await stop();
    await eventually('the line to continue as new', async () => (await line.describe()).runId !== firstRun);
    assert.equal((await begin()).kind, 'wait');
    assert.equal((await line.query(lineQuery)).hold?.reason, 'an incident');
    await resume();
    assert.equal((await begin()).kind, 'go');
  });

  it('that was terminated holds nothing back', async () => {
    const begin = await aHolder();
    await stop();
    await temporal.client.workflow.getHandle(lineId).terminate('by a test');
    assert.equal((await begin()).kind, 'go');
  });
});
