import assert from 'node:assert/strict';
import { createFollowUps } from '../../src/activities/follow-up.ts';
import type { RolloutStart } from '../../src/contracts/messages.ts';
import { rolloutId } from '../../src/contracts/start-options.ts';
import { runActivity } from '../support/activity.ts';
import { rolloutOf, runningOf } from '../support/lane-moves.ts';
import { imageOf, planOf, pushOf, stageOf } from '../support/plans.ts';
import { endSignal, heardQuery, inputQuery } from '../support/stand-in-workflows.ts';
import { laneActivities, standIn, startStandIns, untilHeard } from '../support/stand-ins.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import type { TestWorkers } from '../support/worker.ts';

describe('what a lane starts', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  before(async () => {
    temporal = await startNamespace();
    workers = await startStandIns(temporal);
  });
  after(async () => {
    await workers.stop();
    await temporal.stop();
  });

  const aRollback = (workflow: string, at: string) => {
    const running = runningOf(rolloutOf('b'), 'b', imageOf(planOf(), 'a'));
    return { workflow, service: 'web', stage: 'production', running, by: 'ann (unverified)', at };
  };
  const runOf = async (workflow: string): Promise<string> =>
    (await temporal.client.workflow.getHandle(workflow).describe()).runId;

  it('is one rollback, also where the first try had started it and it has ended since', async () => {
    const { startRollback } = laneActivities(temporal);
    const start = aRollback('rollback:web:production:1', '2026-01-01T00:00:00.000Z');
    await runActivity(startRollback, start);
    const first = await runOf(start.workflow);
    await runActivity(startRollback, start);
    const handle = temporal.client.workflow.getHandle(start.workflow);
    assert.deepEqual(await handle.query(inputQuery), start);
    await handle.signal(endSignal);
    await handle.result();
    await runActivity(startRollback, start);
    assert.equal(await runOf(start.workflow), first);
  });

  it('is another rollback where a lane that lost its memory counts anew', async () => {
    const { startRollback } = laneActivities(temporal);
    const start = aRollback('rollback:web:production:2', '2026-01-01T00:00:00.000Z');
    await runActivity(startRollback, start);
    const first = await runOf(start.workflow);
    const handle = temporal.client.workflow.getHandle(start.workflow);
    await handle.signal(endSignal);
    await handle.result();
    await runActivity(startRollback, { ...start, at: '2026-02-01T00:00:00.000Z' });
    assert.notEqual(await runOf(start.workflow), first);
  });

  it('is listed like a rollout: by service, image and stage', async () => {
    const { startRollback } = laneActivities(temporal);
    await runActivity(startRollback, aRollback('rollback:web:production:3', '2026-01-01T00:00:00.000Z'));
    await eventually('it to be listed', async () => {
      const query = `WorkflowType = 'rollback' AND LandfallService = 'web' AND LandfallStage = 'production'`;
      for await (const { workflowId } of temporal.client.workflow.list({ query })) if (workflowId.endsWith(':3')) return true;
      return false;
    });
  });

  it('is one promotion, however often it is tried', async () => {
    const { startPromotion } = laneActivities(temporal);
    const plan = planOf();
    const image = imageOf(plan, 'promoted');
    const start: RolloutStart = { plan, image, push: pushOf(image), manual: true, promotion: { by: 'ann' } };
    await runActivity(startPromotion, start);
    const first = await runOf(rolloutId(plan.service, image));
    await runActivity(startPromotion, start);
    assert.equal(await runOf(rolloutId(plan.service, image)), first);
  });

  it('promotes by the configuration of now, to the stage that was meant alone, and by the last plan where it has nothing for it', async () => {
    const approval = { ...{ from: [{ name: 'ann' }], required: 1, withinMs: 1_000 }, selfApproval: true, verified: true };
    const [last, now] = [
      planOf({ service: 'replanned', stages: [stageOf('production')] }),
      planOf({ service: 'replanned', stages: [stageOf('staging'), stageOf('production', { approval })] }),
    ];
    for (const [word, plans, expected] of [
      ['known', [planOf(), now], [now.stages[1]]],
      ['not followed', [], last.stages],
      ['without the stage', [{ ...now, stages: now.stages.slice(0, 1) }], last.stages],
    ] as const) {
      const { startPromotion } = createFollowUps({ client: temporal.client, plansFor: () => plans });
      const image = imageOf(last, word);
      await runActivity(startPromotion, {
        ...{ plan: last, image, push: pushOf(image) },
        manual: true,
        promotion: { by: 'ann' },
      });
      const start = (await temporal.client.workflow.getHandle(rolloutId(last.service, image)).query(inputQuery)) as RolloutStart;
      assert.deepEqual(start.plan.stages, expected, word);
    }
  });

  it('wakes rollouts that wait, and only those', async () => {
    const { nudgeWaiting } = laneActivities(temporal);
    const waiting = await Promise.all(
      Array.from({ length: 25 }, (_, index) => standIn(temporal, `rollout:waiting:${index}`, { status: 'waiting' })),
    );
    const blocked = await standIn(temporal, 'rollout:blocked', { status: 'blocked' });
    const ended = await standIn(temporal, 'rollout:ended', { status: 'waiting' });
    await ended.handle.terminate('by a test');
    const query = `WorkflowType = 'rollout' AND LandfallStatus = 'waiting' AND ExecutionStatus = 'Running'`;
    await eventually('all of them to be listed', async () => (await temporal.client.workflow.count(query)).count >= 25);
    await runActivity(nudgeWaiting, { what: 'the line was resumed' });
    for (const { handle } of waiting) await untilHeard(handle, /^the line was resumed$/);
    assert.deepEqual(await blocked.handle.query(heardQuery), []);
  });

  it('leaves nothing that fails with nobody listening, where the list of those that wait breaks off', async () => {
    const { client } = temporal;
    async function* list() {
      yield { workflowId: 'rollout:web:latest:abc', runId: 'Temporal knows no run by such an id' };
      // By the time that this is answered, a signal to that run has failed.
      await client.workflow.count();
      throw new Error('the list broke off');
    }
    const workflow = Object.create(client.workflow, { list: { value: list } });
    const { nudgeWaiting } = createFollowUps({
      client: Object.create(client, { workflow: { value: workflow } }),
      plansFor: () => [],
    });
    await assert.rejects(runActivity(nudgeWaiting, { what: 'the line was resumed' }), /the list broke off/);
  });
});
