import assert from 'node:assert/strict';
import { pinUpdate, promoteUpdate, rollbackUpdate, unquarantineUpdate } from '../../../src/contracts/messages.ts';
import type { Plan } from '../../../src/domain/plan.ts';
import type { RolloutState } from '../../../src/domain/rollout-state.ts';
import { delivered, digestOf, stageOf } from '../../support/plans.ts';
import { eventually } from '../../support/wait.ts';
import { workflowTests } from '../../support/workflow-tests.ts';

describe('the way back to an earlier image', function () {
  this.timeout(60_000);
  const { temporal, tags, world, work, start, push: pushed, result, laneOf, laneState: memory, ...tests } = workflowTests('back');
  beforeEach(() => work());

  const aPlan = (): Plan => tests.aPlan({ stages: [stageOf('production', delivered)] });
  const push = async (plan: Plan, word: string): Promise<RolloutState> => await result(await pushed(plan, word));
  /** As `landfall trigger IMAGE:TAG@DIGEST` does. */
  const name = async (plan: Plan, word: string): Promise<RolloutState> =>
    await result(await start(plan, word, { manual: true, named: true }));
  const runs = (plan: Plan): string | undefined => world.stage(plan, 'production').containers.get('web');
  const ended = (workflow: string): Promise<RolloutState> =>
    eventually(`${workflow} to end`, async () => {
      const handle = temporal.client.workflow.getHandle(workflow);
      return await handle.result().catch(() => undefined);
    });
  const rollBack = async (plan: Plan) => {
    const answer = await laneOf(plan).executeUpdate(rollbackUpdate, {
      args: [{ stage: 'production', by: 'ann', reason: 'one too many' }],
    });
    return { answer, state: await ended(answer.workflow) };
  };

  it('what was rolled back by mistake is promoted again once it is out of quarantine', async () => {
    const plan = aPlan();
    for (const word of ['one', 'two']) await push(plan, word);
    assert.equal((await rollBack(plan)).state.status, 'rolled-back');
    assert.equal(runs(plan), digestOf('one'));
    await laneOf(plan).executeUpdate(unquarantineUpdate, { args: [{ digest: digestOf('two'), by: 'ann' }] });
    const { workflow } = await laneOf(plan).executeUpdate(promoteUpdate, {
      args: [{ stage: 'production', digest: digestOf('two').slice(7, 19), by: 'ann' }],
    });
    await eventually('it to run again', async () => runs(plan) === digestOf('two'));
    assert.equal((await ended(workflow)).status, 'delivered');
  });

  it('a digest that an operator names goes out although its tag points elsewhere, and stays until something is pushed', async () => {
    const plan = aPlan();
    for (const word of ['one', 'two']) await push(plan, word);
    const state = await name(plan, 'one');
    assert.equal(state.status, 'delivered', state.reason);
    assert.match(state.steps.find(({ step }) => step === 'verify')?.reason ?? '', /the tag points to sha256:/);
    assert.ok(!state.steps.some(({ step }) => step === 'confirm'), 'nobody asks whether the tag still points to it');
    assert.equal(runs(plan), digestOf('one'));
    const again = await result(await start(plan, 'two'));
    assert.equal(again.status, 'unchanged', again.reason);
    assert.equal(runs(plan), digestOf('one'));
    assert.equal((await push(plan, 'three')).status, 'delivered');
    assert.equal(runs(plan), digestOf('three'));
  });

  it('what its tag points to, and nobody has taken up yet, does not undo the order when a search finds it', async () => {
    const plan = aPlan();
    await push(plan, 'one');
    tags.set(`${plan.repository}:latest`, digestOf('not told of'));
    assert.equal((await name(plan, 'one more')).status, 'delivered');
    const found = await result(await start(plan, 'not told of'));
    assert.equal(found.status, 'unchanged', found.reason);
    assert.match(found.reason ?? '', /an operator named sha256:/);
    assert.equal(runs(plan), digestOf('one more'));
    const asked = await result(await start(plan, 'not told of', { manual: true }));
    assert.equal(asked.status, 'delivered', asked.reason);
  });

  it('a digest in quarantine is not let out by being named, and the rollout says what does', async () => {
    const plan = aPlan();
    for (const word of ['one', 'two']) await push(plan, word);
    await rollBack(plan);
    const state = await name(plan, 'two');
    assert.equal(state.status, 'rejected');
    assert.match(state.reason ?? '', new RegExp(`Quarantined: .*landfall unquarantine ${plan.service} ${digestOf('two')}`));
  });

  it('a rollback says from what to what, and ends the pin of what it undoes', async () => {
    const plan = aPlan();
    for (const word of ['one', 'two']) await push(plan, word);
    await laneOf(plan).executeUpdate(pinUpdate, { args: [{ stage: 'production', digest: digestOf('two'), by: 'ann' }] });
    const { answer } = await rollBack(plan);
    assert.match(answer.from ?? '', new RegExp(`latest@${digestOf('two')}`));
    assert.match(answer.to ?? '', new RegExp(digestOf('one')));
    assert.equal(answer.unpins, true);
    assert.equal(answer.behind, undefined);
    assert.equal((await memory(plan)).stages.production?.pin, undefined);
    assert.equal((await push(plan, 'three')).status, 'delivered');
  });
});
