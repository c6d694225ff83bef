import assert from 'node:assert/strict';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { ApplicationFailure, type Workflow } from '@temporalio/common';
import { createDecisions } from '../../../src/activities/decisions.ts';
import { decidedQuery, globalHoldQuery, progressSignal } from '../../../src/contracts/messages.ts';
import {
  globalHoldId,
  globalHoldStartOptions,
  laneStartOptions,
  mergeQueueId,
  mergeQueueStartOptions,
} from '../../../src/contracts/start-options.ts';
import type { LaneState } from '../../../src/domain/lane/state.ts';
import type { OtherChanges } from '../../../src/domain/outcomes.ts';
import type { ApprovalPlan, Plan, StagePlan } from '../../../src/domain/plan.ts';
import type { RolloutState } from '../../../src/domain/rollout-state.ts';
import { passes } from '../../support/fake-activities.ts';
import { notifierOf } from '../../support/notifiers.ts';
import { delivered, digestOf, stageOf } from '../../support/plans.ts';
import { eventually } from '../../support/wait.ts';
import { workflowTests } from '../../support/workflow-tests.ts';

const approval = (overrides: Partial<ApprovalPlan> = {}): ApprovalPlan => ({
  from: [{ name: 'ann' }, { name: 'bob' }],
  ...{ required: 1, withinMs: 60_000, selfApproval: true, verified: false },
  ...overrides,
});

const refuse = (type: string, message: string): never => {
  throw ApplicationFailure.create({ type, message, nonRetryable: true });
};

describe('people and a delivery', function () {
  this.timeout(60_000);
  const {
    temporal,
    world,
    activities,
    work,
    stopWorkers,
    push,
    result,
    when,
    until,
    reached,
    say,
    refused,
    laneOf,
    laneState,
    ...tests
  } = workflowTests('step-in');
  const aPlan = (stages: StagePlan[], overrides: Partial<Plan> = {}): Plan => tests.aPlan({ stages, ...overrides });
  const status = (state: RolloutState, wanted: string): string | undefined =>
    state.steps.find(({ step }) => step === wanted)?.status;

  it('a proposal that is rejected or aborted is closed, at its approval, blocked, and in quarantine, and nothing waits for that', async () => {
    const closed: string[] = [];
    await work({
      async tidyChange({ proposal, close }) {
        if (close) closed.push(proposal.head);
        if (proposal.head === digestOf('forge is away').slice(7, 47)) throw new Error('the forge is away');
        return { kind: 'tidied' };
      },
    });
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval() })]);
    const headOf = (word: string): string => digestOf(word).slice(7, 47);
    const asked = await push(plan, 'asked');
    await until(asked, 'waiting');
    await say(asked, 'reject', { by: 'ann', step: 'approve' });
    assert.equal((await result(asked)).status, 'rejected');
    assert.deepEqual(closed, [headOf('asked')]);

    const aborted = await push(plan, 'aborted');
    await until(aborted, 'waiting');
    await say(aborted, 'abort', { by: 'ann' });
    assert.equal((await result(aborted)).status, 'aborted');
    assert.deepEqual(closed.splice(1), [headOf('aborted')]);

    const quarantined = await push(plan, 'quarantined');
    await until(quarantined, 'waiting');
    await say(laneOf(plan), 'quarantine', { digest: digestOf('quarantined'), by: 'ann' });
    await say(quarantined, 'approve', { by: 'ann' });
    assert.match((await result(quarantined)).reason ?? '', /Quarantined/);
    assert.deepEqual(closed.slice(1), [headOf('quarantined')]);

    const away = await push(plan, 'forge is away');
    await until(away, 'waiting');
    await say(away, 'reject', { by: 'ann', step: 'approve' });
    assert.equal((await result(away)).status, 'rejected');
    assert.ok(closed.slice(2).length > 1, 'it was tried again');
  });

  it('a rejection is heard while the merge is held back, and nothing is merged', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await push(plan, 'before'));
    await say(laneOf(plan), 'hold', { by: 'ann' });
    const handle = await push(plan, 'held');
    await when(handle, 'to be held', ({ reason }) => /held by ann/.test(reason ?? ''));
    await say(handle, 'reject', { by: 'ann', step: 'merge', reason: 'not this one' });
    const state = await result(handle);
    assert.equal(state.status, 'rejected', state.reason);
    assert.match(state.reason ?? '', /merge \(production\): rejected by ann.*not this one/);
    assert.equal(world.stage(plan, 'production').log.length, 2);
    assert.ok((await laneState(plan)).quarantine[digestOf('held')]);
  });

  it('a rejection counts that comes while the last approving review is read, and nothing is merged', async () => {
    const looks: { let(): void; readonly isLet: Promise<void> }[] = [];
    await work({
      async proposalState(input) {
        const { promise: isLet, resolve: letGo } = Promise.withResolvers<void>();
        looks.push({ let: letGo, isLet });
        if (looks.length === 2) await isLet;
        return await world.activities.proposalState(input);
      },
    });
    const from = [{ name: 'ann', github: 'ann-gh' }];
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval({ from }) })]);
    const handle = await push(plan, 'read');
    const { proposals } = await until(handle, 'waiting');
    const { branch, head = '' } = proposals.production ?? assert.fail('there is none');
    world.reviews.set(branch, [{ by: 'ann-gh', state: 'approved', commit: head, at: new Date().toISOString() }]);
    await handle.signal(progressSignal, { what: 'review submitted' });
    await eventually('the second look', async () => looks.length === 2);
    await say(handle, 'reject', { by: 'bob', step: 'approve', reason: 'not this one' });
    looks[1]?.let();
    assert.equal((await result(handle)).status, 'rejected');
    assert.deepEqual(world.stage(plan, 'production').log, []);
  });

  it('a rejection counts that comes while it is merged: it is taken out again, and never deployed', async () => {
    const { promise: isLet, resolve: letGo } = Promise.withResolvers<void>();
    let isHeld = false;
    let looks = 0;
    let merges = 0;
    await work({
      async proposalState(input) {
        const state = await world.activities.proposalState(input);
        looks += 1;
        // In its merge turn it waits for a moment, so that people are asked.
        return isHeld && looks === 2 && state.kind === 'open' ? { ...state, mergeable: 'unknown' } : state;
      },
      async mergeChange(input) {
        merges += 1;
        if (isHeld) await isLet;
        return await world.activities.mergeChange(input);
      },
    });
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await push(plan, 'before'));
    [isHeld, looks, merges] = [true, 0, 0];
    const handle = await push(plan, 'held');
    await eventually('the merge', async () => merges === 1);
    await when(handle, 'to wait', ({ steps }) => steps.some((each) => each.step === 'merge' && each.status === 'waiting'));
    await say(handle, 'reject', { by: 'bob', step: 'merge', reason: 'not this one' });
    letGo();
    const state = await result(handle);
    assert.equal(state.status, 'rolled-back', state.reason);
    assert.match(state.reason ?? '', /rejected by bob.*not this one/);
    const { log, containers } = world.stage(plan, 'production');
    assert.deepEqual([...containers.values()], [digestOf('before')]);
    assert.ok(!log.includes(`deploy web ${digestOf('held').slice(7, 19)}`), log.join(', '));
    assert.ok(log.includes('merge of the revert'), log.join(', '));
  });

  it('a rejection is heard while somebody else merges into the same base', async () => {
    await work();
    const change = { ...stageOf('x').change, repository: 'team/busy' } as NonNullable<StagePlan['change']>;
    const plan = aPlan([stageOf('production', { ...delivered, change })]);
    const other = await push(aPlan([stageOf('production', { ...delivered, change, approval: approval() })]), 'another');
    await until(other, 'waiting');
    const { workflowId, ...queueing } = mergeQueueStartOptions('team/busy', 'main');
    const queue = await temporal.client.workflow.start('mergeQueue', { workflowId, ...queueing });
    const runId = (await other.describe()).runId;
    await queue.executeUpdate('requestTurn', { args: [{ rollout: other.workflowId, runId }] });
    const handle = await push(plan, 'behind');
    const waiting = await when(handle, 'to wait for its merge turn', ({ reason }) => /turn to merge/.test(reason ?? ''));
    assert.equal(waiting.status, 'waiting');
    await say(handle, 'reject', { by: 'ann', step: 'merge' });
    assert.equal((await result(handle)).status, 'rejected');
    assert.deepEqual(world.stage(plan, 'production').log, []);
    const { waiting: behind } = await temporal.client.workflow.getHandle(mergeQueueId('team/busy', 'main')).query<{
      waiting: unknown[];
    }>('queue');
    assert.deepEqual(behind, []);
    await say(other, 'abort', { by: 'ann' });
    await result(other);
  });

  it('an approval whose proof is looked at while time runs out does not count, and says so', async () => {
    let prove = (): void => undefined;
    const looked = new Promise<void>((resolve) => {
      prove = resolve;
    });
    await work({
      whoDecided: async ({ decision }) => {
        await looked;
        return { by: decision.by ?? '', verified: true };
      },
    });
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval({ withinMs: 2_000 }) })]);
    const handle = await push(plan, 'too late');
    const head = digestOf('too late').slice(7, 47);
    await until(handle, 'waiting');
    const approving = refused(
      say(handle, 'approve', { by: 'ann', head, proof: 'slow', earlier: 0 }),
      /production.*approv.*until|has ended/,
    );
    // The look is a local activity, and is under way.
    await reached(handle, 'expired');
    prove();
    await approving;
    const state = await result(handle);
    assert.equal(state.status, 'expired');
    assert.equal(state.approvals, undefined);
  });

  it('an approval that comes after the deadline does not count, even where no worker was there to see the deadline pass', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval({ withinMs: 2_000 }) })]);
    const handle = await push(plan, 'nobody there');
    await until(handle, 'waiting');
    await stopWorkers();
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const approving = say(handle, 'approve', { by: 'ann' });
    approving.catch(() => undefined);
    // The update has to be there before the worker is.
    await new Promise((resolve) => setTimeout(resolve, 500));
    await work();
    assert.equal((await result(handle)).status, 'expired');
    await assert.rejects(approving);
  });

  it('a forge that refuses to be looked at blocks the approval, which goes on after a retry', async () => {
    let refuses = true;
    await work({
      proposalState: async (input) =>
        refuses ? refuse('CredentialsRefused', 'the token was revoked') : await world.activities.proposalState(input),
    });
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval() })]);
    const handle = await push(plan, 'refused look');
    const state = await until(handle, 'blocked');
    assert.match(state.reason ?? '', /token was revoked/);
    await say(handle, 'approve', { by: 'ann' });
    refuses = false;
    await say(handle, 'retry', { by: 'ann', step: 'approve' });
    assert.equal((await result(handle)).status, 'delivered');
  });

  it('a branch that cannot be deleted changes nothing: not after a person’s merge, not after a close', async () => {
    await work({ tidyChange: async () => refuse('Forbidden', 'the branch is protected') });
    const plan = aPlan([stageOf('production', { ...delivered, merge: 'manual' })]);
    const branch = `landfall/${plan.service}-production`;
    world.mergedByHand.set(branch, 'octocat');
    const merged = await result(await push(plan, 'merged by hand'));
    assert.equal(merged.status, 'delivered', merged.reason);
    world.mergedByHand.clear();
    world.closed.set(branch, 'grace');
    const closed = await result(await push(plan, 'closed'));
    assert.equal(closed.status, 'rejected');
    assert.match(closed.reason ?? '', /was closed by grace/);
  });

  it('what a host keeps for later being kept a while longer ends no rollout', async () => {
    await work({ discardPrevious: async () => refuse('DeployRefused', 'the old container is stuck') });
    const { watch: _watch, ...unwatched } = delivered;
    const plan = aPlan([stageOf('production', unwatched)]);
    const state = await result(await push(plan, 'unsettled'));
    assert.equal(state.status, 'delivered', state.reason);
  });

  it('a rollback whose proposal a person closed, or pushed to, is proposed again by a retry', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await push(plan, 'good'));
    world.bad.add(digestOf('bad'));
    const branch = `landfall/${plan.service}-production-rollback`;
    world.closed.set(branch, 'grace');
    const handle = await push(plan, 'bad');
    const state = await until(handle, 'blocked');
    assert.match(state.reason ?? '', /closed by grace: retry proposes it again/);
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('good'), 'the system is back all the same');
    world.closed.clear();
    await say(handle, 'retry', { by: 'ann', step: 'rollback' });
    assert.equal((await result(handle)).status, 'rolled-back');
    const { log } = world.stage(plan, 'production');
    assert.deepEqual(
      log.slice(4).map((line) => line.replace(/ [0-9a-f]{12}$/, '')),
      ['restore', 'revert', 'revert', 'merge of the revert'],
    );
  });

  it('a first deployment that is not undone, as an operator says, ends failed and touches nothing', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    world.bad.add(digestOf('first'));
    const handle = await push(plan, 'first');
    await until(handle, 'blocked');
    await say(handle, 'skip', { by: 'ann', step: 'rollback', reason: 'it stays' });
    const state = await result(handle);
    assert.equal(state.status, 'failed', state.reason);
    assert.match(state.reason ?? '', /503; nothing was rolled back/);
    assert.equal(world.stage(plan, 'production').log.length, 2);
    assert.equal((await laneState(plan)).quarantine[digestOf('first')], undefined);
  });

  it('a base branch that got a later image while this one was merged ends it, and deploys nothing', async () => {
    let proposals = 0;
    const usual = activities();
    await work({
      propose: async (input) => {
        proposals += 1;
        return proposals === 1 ? await usual.propose(input) : { kind: 'outdated', tag: '2.0.0' };
      },
      proposalState: async (input) => {
        const standing = await world.activities.proposalState(input);
        return standing.kind === 'open' ? { ...standing, mergeable: 'conflicting' } : standing;
      },
    });
    const plan = aPlan([stageOf('production', delivered)]);
    const state = await result(await push(plan, 'overtaken'));
    assert.equal(state.status, 'unchanged', state.reason);
    assert.match(state.reason ?? '', /2\.0\.0, which is later/);
    assert.deepEqual(world.stage(plan, 'production').log, []);
  });

  it('a promotion is not undone by a redelivery of the newest push', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await push(plan, 'early'));
    await result(await push(plan, 'late'));
    const { workflow } = (await say(laneOf(plan), 'promote', {
      ...{ stage: 'production', digest: digestOf('early'), by: 'ann' },
    })) as { workflow: string };
    const promoted = await eventually('the promotion to end', async () => {
      const { stages } = await laneState(plan);
      return stages.production?.running?.digest === digestOf('early') && temporal.client.workflow.getHandle(workflow).result();
    });
    assert.equal((promoted as RolloutState).status, 'delivered');
    const again = await result(await push(plan, 'late'));
    assert.equal(again.status, 'unchanged', again.reason);
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('early'));
    assert.equal((await result(await push(plan, 'latest of all'))).status, 'delivered');
  });

  it('decisions of any shape are answered, and never stop the workflow', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval() })]);
    const handle = await push(plan, 'shapes');
    await until(handle, 'waiting');
    for (const decision of [5, 'ann', null, [], { by: 5 }, { by: 'ann', reason: {} }, { stage: 5 }, { step: [] }]) {
      for (const verb of ['retry', 'skip']) await assert.rejects(handle.executeUpdate(verb, { args: [decision] }));
    }
    await say(laneOf(plan), 'hold', { by: 5, reason: ['x'] });
    await say(laneOf(plan), 'release', { by: {}, reason: 7 });
    await say(handle, 'approve', { by: 'ann', reason: { not: 'a text' } });
    assert.equal((await result(handle)).status, 'delivered');
    const other = await push(plan, 'other shapes');
    await until(other, 'waiting');
    await say(other, 'abort', { by: 5, reason: 7 });
    assert.equal((await result(other)).status, 'aborted');
  });

  it('an abort during a merge that goes through all the same leaves a lane that can undo it', async () => {
    let goOn = (): void => undefined;
    const allowed = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let begun = false;
    await work({
      mergeChange: async (input) => {
        begun = true;
        await allowed;
        return await world.activities.mergeChange(input);
      },
    });
    const plan = aPlan([stageOf('production', delivered)]);
    world.stage(plan, 'production').containers.set('web', digestOf('old'));
    const handle = await push(plan, 'aborted');
    await eventually('the merge to begin', async () => begun);
    await say(handle, 'abort', { by: 'ann' });
    goOn();
    assert.equal((await result(handle)).status, 'aborted');
    const { running, holder } = (await laneState(plan)).stages.production ?? {};
    assert.equal(running?.digest, digestOf('aborted'));
    assert.ok(running?.proposal, 'what was merged is known');
    assert.equal(holder, undefined);
  });

  it('a rollback goes before a rollout that waits for its approval, which comes again afterwards', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval() })]);
    for (const word of ['one', 'two']) {
      const handle = await push(plan, word);
      await until(handle, 'waiting');
      await say(handle, 'approve', { by: 'ann' });
      await result(handle);
    }
    const three = await push(plan, 'three');
    const { runId } = await three.describe();
    await until(three, 'waiting');
    const { workflow } = (await say(laneOf(plan), 'rollback', { stage: 'production', by: 'ann' })) as { workflow: string };
    const undone = await eventually('the rollback to end', () =>
      temporal.client.workflow
        .getHandle(workflow)
        .result()
        .catch(() => undefined),
    );
    assert.equal((undone as RolloutState).status, 'rolled-back');
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('one'));
    const again = await eventually('it to come again', async () => {
      const handle = temporal.client.workflow.getHandle(three.workflowId);
      const { runId: now, status: running } = await handle.describe();
      return now !== runId && running.name === 'RUNNING' && handle;
    });
    await when(again, 'to ask for its approval', (state) => status(state, 'approve') === 'waiting');
    await say(again, 'approve', { by: 'ann' });
    assert.equal((await result(again)).status, 'delivered');
  });

  it('a rollback that is cancelled in Temporal gives back its turns', async () => {
    let restoring = false;
    await work({
      rollBackStage: async () => {
        restoring = true;
        throw new Error('the docker daemon is away');
      },
    });
    const plan = aPlan([stageOf('production', delivered)]);
    world.stage(plan, 'production').containers.set('web', digestOf('old'));
    world.bad.add(digestOf('ill'));
    const handle = await push(plan, 'ill');
    await eventually('the rollback to begin', async () => restoring);
    await handle.cancel();
    const state = await result(handle);
    assert.equal(state.status, 'aborted');
    assert.match(state.reason ?? '', /was cancelled in Temporal/);
    const { stages, members, quarantine } = await laneState(plan);
    assert.equal(stages.production?.holder, undefined);
    assert.deepEqual(members, {});
    assert.ok(quarantine[digestOf('ill')]);
  });

  it('a lane that is terminated while a rollout waits to be approved is told of it again, with the cache off', async () => {
    await work({}, { maxCachedWorkflows: 0 });
    const plan = aPlan([stageOf('production', { ...delivered, approval: approval() })]);
    const handle = await push(plan, 'orphan');
    await reached(handle, 'waiting');
    await laneOf(plan).terminate('by mistake');
    await say(handle, 'approve', { by: 'ann' });
    const state = await result(handle);
    assert.equal(state.status, 'delivered', state.reason);
    assert.equal((await laneState(plan)).stages.production?.running?.digest, digestOf('orphan'));
  });

  it('a manual merge before the approval still needs the approval', async () => {
    await work();
    const plan = aPlan([stageOf('production', { ...delivered, merge: 'manual', approval: approval() })]);
    const handle = await push(plan, 'merged early');
    await until(handle, 'waiting');
    world.mergedByHand.set(`landfall/${plan.service}-production`, 'octocat');
    await handle.signal(progressSignal, { what: 'pull_request closed' });
    assert.equal(status(await until(handle, 'waiting'), 'approve'), 'waiting');
    assert.deepEqual(world.stage(plan, 'production').log, []);
    await say(handle, 'approve', { by: 'ann' });
    assert.equal((await result(handle)).status, 'delivered');
  });

  it('a rollback asked for while a newer image is merged waits for that, and then leaves it alone', async () => {
    let goOn = (): void => undefined;
    const allowed = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let merges = 0;
    await work({
      mergeChange: async (input) => {
        merges += 1;
        if (merges === 3) await allowed;
        return await world.activities.mergeChange(input);
      },
    });
    const plan = aPlan([stageOf('production', delivered)]);
    for (const word of ['one', 'two']) await result(await push(plan, word));
    const three = await push(plan, 'three');
    await eventually('the third merge to begin', async () => merges === 3);
    const { workflow } = (await say(laneOf(plan), 'rollback', { stage: 'production', by: 'ann' })) as { workflow: string };
    const undoing = await eventually('the rollback to be there', async () => {
      const handle = temporal.client.workflow.getHandle(workflow);
      return (await handle.describe().catch(() => undefined)) && handle;
    });
    assert.match((await until(undoing, 'waiting')).reason ?? '', new RegExp(`turn of production, behind ${three.workflowId}`));
    await refused(
      say(laneOf(plan), 'rollback', { stage: 'production', by: 'bob' }),
      /is being rolled back already, by rollback:/,
    );
    goOn();
    assert.equal((await result(three)).status, 'delivered');
    const state = await result(undoing);
    assert.equal(state.status, 'unchanged');
    assert.match(state.reason ?? '', new RegExp(`production runs what ${three.workflowId} brought there`));
    assert.equal(world.stage(plan, 'production').containers.get('web'), digestOf('three'));
    assert.deepEqual((await laneState(plan)).quarantine, {});
  });

  it('a rollback asked for while the same image is rolled back by itself does not do it again', async () => {
    let goOn = (): void => undefined;
    const allowed = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let restores = 0;
    let watches = 0;
    await work(
      {
        watchStage: async (input) => {
          watches += 1;
          if (watches === 2) await allowed;
          return await world.activities.watchStage(input);
        },
        rollBackStage: async (input) => {
          restores += 1;
          return await world.activities.rollBackStage(input);
        },
      },
      { maxCachedWorkflows: 0 },
    );
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await push(plan, 'fine'));
    world.bad.add(digestOf('ill again'));
    const handle = await push(plan, 'ill again');
    await eventually('it to be watched', async () => watches === 2);
    const { workflow } = (await say(laneOf(plan), 'rollback', { stage: 'production', by: 'ann' })) as { workflow: string };
    goOn();
    assert.equal((await result(handle)).status, 'rolled-back');
    const state = await eventually('the other rollback to end', () =>
      temporal.client.workflow
        .getHandle(workflow)
        .result()
        .catch(() => undefined),
    );
    assert.equal((state as RolloutState).status, 'unchanged');
    assert.equal(restores, 1);
    assert.equal((await laneState(plan)).stages.production?.running?.digest, digestOf('fine'));
  });

  it('a rollback that is blocked takes up again where it was refused, and what is done stays done', async () => {
    let refuses = true;
    await work({
      revertChange: async (input) =>
        refuses ? refuse('BaseMovedOn', 'somebody changed it') : await world.activities.revertChange(input),
    });
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await push(plan, 'fine'));
    world.bad.add(digestOf('ill'));
    const handle = await push(plan, 'ill');
    assert.match((await until(handle, 'blocked')).reason ?? '', /not done: somebody changed it/);
    refuses = false;
    await say(handle, 'retry', { by: 'ann', step: 'rollback' });
    assert.equal((await result(handle)).status, 'rolled-back');
    const done = world.stage(plan, 'production').log.slice(4);
    assert.deepEqual(
      done.map((line) => line.replace(/ [0-9a-f]{12}$/, '')),
      ['restore', 'revert', 'merge of the revert'],
    );
  });

  it('a decision with a proof about a step that is no longer blocked is refused', async () => {
    let refuses = true;
    let goOn = (): void => undefined;
    const looked = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    await work({
      'check:scan': async () => {
        if (refuses) refuse('ScanRejected', 'no');
        return passes();
      },
      whoDecided: async ({ verb, decision }) => {
        if (verb === 'reject') await looked;
        return { by: decision.by ?? '', verified: true };
      },
    });
    const plan = aPlan([stageOf('production')]);
    const handle = await push(plan, 'decided twice');
    await until(handle, 'blocked');
    const rejection = { by: 'ann', step: 'scan', proof: 'slow', earlier: 0 };
    const late = refused(say(handle, 'reject', rejection), /scan is not blocked|decided meanwhile|has ended/);
    refuses = false;
    await say(handle, 'retry', { by: 'bob', step: 'scan' });
    goOn();
    await late;
    assert.equal((await result(handle)).status, 'proposed');
  });

  it('a proof counts once: not when its step blocks again, not twice at once, and not without the count that it was made at', async () => {
    await work({ 'check:scan': async () => refuse('ScanRejected', 'no') });
    const handle = await push(aPlan([stageOf('production')]), 'again and again');
    await until(handle, 'blocked');
    const attempts = () => when(handle, 'to be blocked', ({ status }) => status === 'blocked');
    const retry = { by: 'ann', step: 'scan', proof: 'proof of ann', earlier: 0 };
    await refused(say(handle, 'retry', { ...retry, earlier: undefined }), /does not say after how many decisions/);
    const both = await Promise.allSettled([say(handle, 'retry', retry), say(handle, 'retry', retry)]);
    assert.equal(both.filter(({ status }) => status === 'fulfilled').length, 1);
    await attempts();
    await refused(say(handle, 'retry', retry), /this very proof was used before: look at what it is now/);
    await refused(say(handle, 'skip', { ...retry, reason: 'known', earlier: 7 }), /decided meanwhile/);
    assert.equal(await handle.query(decidedQuery), 1);
    await say(handle, 'retry', { ...retry, earlier: 1 });
    await attempts();
    // What carries no proof moves the count on as well.
    await say(handle, 'skip', { by: 'bob', step: 'scan', reason: 'known' });
    assert.equal((await result(handle)).status, 'proposed');
  });

  it('a name whose operator has a token is nobody without it: to a rollout, and to a lane that begins by it', async () => {
    const operators = [{ name: 'ann', token: 'env:ANN_TOKEN_HASH', roles: ['operate'] }] as const;
    const none = () => assert.fail('there is no proof to look at');
    const { whoDecided } = createDecisions({ operators, secrets: none, vouchKey: none });
    await work({ 'check:scan': async () => refuse('ScanRejected', 'no'), whoDecided });
    const handle = await push(aPlan([stageOf('production')]), 'typed');
    await until(handle, 'blocked');
    await refused(say(handle, 'retry', { by: 'ann', step: 'scan' }), /ann has a token, so that a name alone is not enough/);
    assert.equal(await handle.query(decidedQuery), 0);
    const { client } = temporal;
    const options = laneStartOptions(aPlan([stageOf('production')]).service);
    const hold = (by: string) => {
      const startWorkflowOperation = new WithStartWorkflowOperation<Workflow>('lane', options);
      return client.workflow.executeUpdateWithStart('hold', { startWorkflowOperation, args: [{ by, reason: 'a fair' }] });
    };
    await refused(hold('ann'), /ann has a token/);
    await hold('bob');
    const lane = await client.workflow.getHandle(options.workflowId).query<LaneState>('lane');
    assert.equal(lane.hold?.by, 'bob (unverified)');
    await say(handle, 'abort', { by: 'bob' });
    assert.match((await result(handle)).reason ?? '', /bob \(unverified\)/);
  });

  it('what is said to a lane and to all of them is proven, too, and each proof once', async () => {
    await work();
    const plan = aPlan([stageOf('production', delivered)]);
    await result(await push(plan, 'first'));
    await result(await push(plan, 'second'));
    const lane = laneOf(plan);
    const proofOf = async (by: string, more: object = {}) => ({
      ...{ by, proof: `proof of ${by}`, earlier: await lane.query(decidedQuery) },
      ...more,
    });
    const holding = await proofOf('ann', { reason: 'a fair' });
    await say(lane, 'hold', holding);
    assert.equal((await laneState(plan)).hold?.by, 'ann');
    assert.deepEqual(Object.keys((await laneState(plan)).hold ?? {}).sort(), ['at', 'by', 'reason']);
    await say(lane, 'release', { by: 'bob' });
    await refused(say(lane, 'hold', holding), /this very proof was used before/);
    await refused(say(lane, 'hold', { ...(await proofOf('ann')), proof: 'made up' }), /the proof is wrong/);
    assert.equal((await laneState(plan)).hold, undefined);
    const digest = digestOf('first');
    await say(lane, 'quarantine', await proofOf('ann', { digest, reason: 'slow' }));
    await say(lane, 'unquarantine', await proofOf('ann', { digest }));
    const promotion = await proofOf('ann', { stage: 'production', digest, reason: 'second is slow' });
    const { workflow } = await say<{ workflow: string }>(lane, 'promote', promotion);
    const promoted = temporal.client.workflow.getHandle(workflow);
    await eventually('the promotion', async () => (await laneState(plan)).stages.production?.running?.digest === digest);
    await promoted.result();
    await refused(say(lane, 'promote', { ...promotion, digest: digestOf('second') }), /this very proof was used before/);

    const start = () => new WithStartWorkflowOperation('globalHold', globalHoldStartOptions());
    const begin = { startWorkflowOperation: start(), args: [{ by: 'bob', reason: 'an incident' }] as [object] };
    await temporal.client.workflow.executeUpdateWithStart('hold', begin);
    const everything = temporal.client.workflow.getHandle(globalHoldId);
    const release = { by: 'ann', proof: 'proof of ann', earlier: await everything.query(decidedQuery) };
    await say(everything, 'release', release);
    await say(everything, 'hold', { ...release, earlier: release.earlier + 1, reason: 'again' });
    assert.equal((await everything.query(globalHoldQuery)).hold?.by, 'ann');
    await refused(say(everything, 'release', release), /this very proof was used before/);
    await say(everything, 'release', { ...release, earlier: release.earlier + 2 });
  });

  describe('changes that come along with an image', () => {
    const others = (fingerprint: string): OtherChanges => ({
      changes: ['web: command changed'],
      commits: [{ commit: '1a2b3c4d5e6f', author: 'Bob', subject: 'try an option' }],
      fingerprint,
    });
    const ask = (found: OtherChanges): never => {
      const message = 'it would bring along: web: command changed (1a2b3c4d5e6f by Bob: try an option)';
      throw ApplicationFailure.create({ type: 'OtherChanges', message, nonRetryable: true, details: [found] });
    };

    it('block before the merge and the gate, are let through knowingly, and named in the state, the notice and a rollback', async () => {
      const told: string[] = [];
      let found = others('one');
      await work({
        async snapshotStage(input) {
          if (input.foresee && input.accepted !== found.fingerprint) ask(found);
          return { ...(await world.activities.snapshotStage(input)), ...(input.foresee && { others: found }) };
        },
        async deployStage(input) {
          const outcome = await world.activities.deployStage(input);
          assert.equal(input.accepted, found.fingerprint);
          return outcome;
        },
        async queueNotice({ notice }) {
          told.push(`${notice.event}: ${notice.reason ?? ''} ${notice.advice ?? ''}`);
        },
      });
      const notify = [notifierOf('discord', 'env:URL', ['blocked', 'deploying', 'unhealthy'])];
      const plan = aPlan([stageOf('production', delivered)], { notify });
      world.stage(plan, 'production').containers.set('web', digestOf('old'));
      world.bad.add(digestOf('new'));
      const handle = await push(plan, 'new');
      const blocked = await until(handle, 'blocked');
      const step = blocked.steps.find((each) => each.status === 'blocked');
      assert.deepEqual([step?.step, step?.failure], ['merge', 'OtherChanges']);
      assert.deepEqual(world.stage(plan, 'production').log, []);
      // A newer image may still go first: it has not begun.
      assert.equal((await laneState(plan)).stages.production?.running, undefined);
      assert.match(
        told.join('\n'),
        /blocked: .*command changed.* decide: landfall retry \S+ merge .*, skip \S+ merge .* --reason TEXT, reject \S+ merge .*, or abort /,
      );
      // Something else comes in before the answer: it is asked again.
      found = others('two');
      await refused(say(handle, 'skip', { by: 'ann' }), /needs a reason/);
      await say(handle, 'skip', { by: 'ann', reason: 'it is meant' });
      await when(handle, 'to be asked again', ({ steps }) =>
        steps.some(({ details }) => (details as OtherChanges | undefined)?.fingerprint === 'two'),
      );
      await say(handle, 'skip', { by: 'ann', reason: 'that too' });
      const state = await result(handle);
      assert.equal(state.status, 'rolled-back', state.reason);
      const named = /web: command changed \(1a2b3c4d5e6f by Bob: try an option\), let through by ann.*that too/;
      assert.match(state.reason ?? '', named);
      assert.match(told.find((line) => line.startsWith('deploying')) ?? '', named);
      assert.match(told.find((line) => line.startsWith('unhealthy')) ?? '', /this came along, and stays in the repository/);
      assert.match((await laneState(plan)).quarantine[digestOf('new')]?.reason ?? '', named);
    });

    it('that come in between the merge and the deploy are asked about there', async () => {
      await work({
        async deployStage(input) {
          if (input.accepted !== 'late') ask(others('late'));
          return await world.activities.deployStage(input);
        },
      });
      const plan = aPlan([stageOf('production', delivered)]);
      const handle = await push(plan, 'new');
      const blocked = await until(handle, 'blocked');
      assert.equal(blocked.steps.find((each) => each.status === 'blocked')?.step, 'deploy');
      await say(handle, 'skip', { by: 'ann', reason: 'it is meant' });
      assert.equal((await result(handle)).status, 'delivered');
    });

    it('are no matter of host trouble, which neither rolls back nor quarantines and cannot be skipped', async () => {
      let isMended = false;
      await work({
        async deployStage(input) {
          if (!isMended) refuse('DeployRefused', 'the host kept web from starting');
          return await world.activities.deployStage(input);
        },
      });
      const plan = aPlan([stageOf('production', delivered)]);
      const handle = await push(plan, 'new');
      const blocked = await until(handle, 'blocked');
      assert.equal(blocked.steps.find((each) => each.status === 'blocked')?.step, 'deploy');
      assert.deepEqual((await laneState(plan)).quarantine, {});
      await refused(say(handle, 'skip', { by: 'ann', reason: 'no' }), /deploy cannot be skipped/);
      isMended = true;
      await say(handle, 'retry', { by: 'ann' });
      assert.equal((await result(handle)).status, 'delivered');
    });
  });
});
