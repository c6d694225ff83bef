import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { ProposeInput } from '../../../src/contracts/activities/delivery.ts';
import type { Activities } from '../../../src/contracts/activities/index.ts';
import { rollbackUpdate } from '../../../src/contracts/messages.ts';
import type { Notice } from '../../../src/domain/notice.ts';
import type { NotifierPlan, Plan, StagePlan } from '../../../src/domain/plan.ts';
import type { RolloutState, StepState } from '../../../src/domain/rollout-state.ts';
import { passes } from '../../support/fake-activities.ts';
import { notifierOf } from '../../support/notifiers.ts';
import { delivered, deployOf, digestOf, stageOf } from '../../support/plans.ts';
import { eventually } from '../../support/wait.ts';
import { workflowTests } from '../../support/workflow-tests.ts';

const approval = {
  from: [{ name: 'ann' }, { name: 'bob' }],
  ...{ required: 1, withinMs: 60_000, selfApproval: true, verified: false },
};
const notify: NotifierPlan[] = [
  notifierOf('webhook', { url: 'env:HOOK', secret: 'env:KEY' }, [
    'approval',
    'blocked',
    'healthy',
    'delivered',
    'failed',
    'rolled-back',
    'unchanged',
  ]),
];

describe('what an operator skips', function () {
  this.timeout(60_000);
  const { temporal, world, activities, work, push, result, until, laneOf, laneState, ...tests } = workflowTests('skipped');
  const told: { readonly notice: Notice; readonly notifiers: readonly NotifierPlan[] }[] = [];
  const proposed: ProposeInput[] = [];
  let refuses: readonly string[] = [];

  const refuse = (what: string): void => {
    if (refuses.includes(what)) throw ApplicationFailure.nonRetryable(`no to ${what}`, 'DeployRefused');
  };

  beforeEach(async () => {
    refuses = [];
    told.splice(0);
    proposed.splice(0);
    const usual = activities();
    const refusing = (what: keyof Activities & ('dispatch' | 'rollBackStage' | 'revertChange' | 'watchStage')) => ({
      async [what](input: never) {
        refuse(what);
        return await usual[what](input);
      },
    });
    await work({
      'check:scan': async () => {
        refuse('scan');
        return passes();
      },
      async proposalState(input) {
        const state = await usual.proposalState(input);
        const lacksReview = refuses.includes('the review of a revert') && input.proposal.branch.endsWith('-rollback');
        return lacksReview && state.kind === 'open' ? { ...state, mergeable: 'waiting', missing: 'a review' } : state;
      },
      ...refusing('dispatch'),
      ...refusing('rollBackStage'),
      ...refusing('revertChange'),
      async watchStage(input) {
        const isBack = input.running.some(({ digest }) => digest !== input.image.digest);
        if (isBack) refuse('watch of what is back');
        if (input.discardsPrevious === false) refuse('watch of the first');
        return await usual.watchStage(input);
      },
      async propose(input) {
        proposed.push(input as ProposeInput);
        return await usual.propose(input);
      },
      async queueNotice(telling) {
        told.push(telling);
      },
    });
  });

  const aPlan = (stage: Partial<StagePlan> = {}, overrides: Partial<Plan> = {}): Plan =>
    tests.aPlan({ stages: [stageOf('production', { ...delivered, ...stage })], notify, ...overrides });
  const skip = async (handle: WorkflowHandle, step: string, reason: string): Promise<void> => {
    await until(handle, 'blocked');
    await handle.executeUpdate('skip', { args: [{ by: 'ann', step, reason }] });
  };
  const step = (state: RolloutState, wanted: string): StepState | undefined =>
    state.steps.find((candidate) => candidate.step === wanted);
  const noticesOf = (event: string): Notice[] => told.map(({ notice }) => notice).filter((notice) => notice.event === event);
  /** Delivered once well, then an image that turns out badly. */
  const badAfterGood = async (plan: Plan): Promise<WorkflowHandle> => {
    assert.equal((await result(await push(plan, 'good'))).status, 'delivered');
    world.bad.add(digestOf('bad'));
    return await push(plan, 'bad');
  };

  it('is told to whoever approves, in the proposal, and at the end', async () => {
    refuses = ['scan'];
    const plan = aPlan({ approval });
    const handle = await push(plan, 'unscanned');
    await skip(handle, 'scan', 'the finding is not reachable');
    const asking = await until(handle, 'waiting');
    const text = 'scan skipped by ann (unverified): the finding is not reachable';
    assert.match(step(asking, 'approve')?.reason ?? '', new RegExp(text.replace(/[()]/g, '\\$&')));
    const { at: _at, ...waiver } = asking.waivers?.[0] ?? { at: '' };
    assert.deepEqual(waiver, { step: 'scan', by: 'ann (unverified)', reason: 'the finding is not reachable' });
    const [approving] = noticesOf('approval');
    assert.deepEqual(approving?.skipped, asking.waivers);
    const id = handle.workflowId.replace(/^rollout:/, '');
    assert.match(approving?.advice ?? '', new RegExp(`landfall approve ${id} --stage production`));
    assert.match(
      noticesOf('blocked')[0]?.advice ?? '',
      new RegExp(`landfall retry ${id} scan, skip ${id} scan --reason TEXT, reject ${id} scan, or abort ${id}`),
    );
    assert.deepEqual(proposed.at(-1)?.skipped, asking.waivers);
    await handle.executeUpdate('approve', { args: [{ by: 'bob' }] });
    const state = await result(handle);
    assert.deepEqual([state.status, state.reason], ['delivered', `production; ${text}`]);
    assert.equal(noticesOf('delivered')[0]?.reason, state.reason);
    assert.match((await laneState(plan)).verdicts[`latest@${digestOf('unscanned')}`]?.reason ?? '', /scan skipped by ann/);
  });

  it('is no health that somebody has seen, also where it was the watch of the first container alone', async () => {
    refuses = ['watch of the first'];
    const deploy = deployOf('docker', { containers: { names: ['a', 'b', 'c'] } }, { canary: 1 });
    const plan = aPlan({ deploy });
    for (const name of ['a', 'b', 'c']) world.stage(plan, 'production').containers.set(name, digestOf('old'));
    const handle = await push(plan, 'unwatched');
    await skip(handle, 'watch', 'it takes long to start');
    const state = await result(handle);
    assert.equal(state.status, 'delivered');
    assert.match(state.reason ?? '', /^production; watch \(production\) skipped by ann \(unverified\): it takes long to start$/);
    assert.equal(step(state, 'watch')?.status, 'skipped');
    assert.match(step(state, 'watch')?.reason ?? '', /^skipped by ann \(unverified\): it takes long to start/);
    const [healthy] = noticesOf('healthy');
    assert.equal(healthy?.watched, false);
  });

  it('a stage that nobody watches is not told to be healthy', async () => {
    const { watch: _watch, ...unwatched } = delivered;
    const plan = tests.aPlan({ stages: [stageOf('production', unwatched)], notify });
    await result(await push(plan, 'nobody looks'));
    assert.equal(noticesOf('healthy')[0]?.watched, false);
  });

  it('a rollback that is skipped brings nothing back: it ends failed, and the lane knows what runs', async () => {
    const plan = aPlan();
    refuses = ['rollBackStage'];
    const handle = await badAfterGood(plan);
    await skip(handle, 'rollback', 'the hand edit is fine');
    const state = await result(handle);
    assert.equal(state.status, 'failed');
    assert.match(
      state.reason ?? '',
      /^production: .*503; nothing was rolled back; rollback \(production\) skipped by ann \(unverified\): the hand edit is fine$/,
    );
    assert.equal(step(state, 'rollback')?.status, 'skipped');
    assert.equal(step(state, 'rollback')?.reason, 'skipped by ann (unverified): the hand edit is fine');
    assert.deepEqual(
      noticesOf('failed').map(({ reason }) => reason),
      [state.reason],
    );
    const { log } = world.stage(plan, 'production');
    assert.ok(!log.some((line) => /restore|revert/.test(line)), log.join(', '));
    const { stages, quarantine, verdicts } = await laneState(plan);
    assert.equal(stages.production?.running?.digest, digestOf('bad'));
    assert.equal(quarantine[digestOf('bad')], undefined, 'only what was rolled back is in quarantine');
    assert.equal(verdicts[`latest@${digestOf('bad')}`]?.end, 'failed');

    const again = await result(await push(plan, 'bad'));
    assert.equal(again.status, 'unchanged', 'a redelivery does not bring it again');
    refuses = [];
    const { workflow } = await laneOf(plan).executeUpdate(rollbackUpdate, {
      args: [{ stage: 'production', by: 'bob', reason: 'now' }],
    });
    const undone = await eventually('it to be rolled back after all', () =>
      temporal.client.workflow
        .getHandle(workflow)
        .result()
        .catch(() => undefined),
    );
    assert.equal((undone as RolloutState).status, 'rolled-back');
    assert.equal((await laneState(plan)).stages.production?.running?.digest, digestOf('good'));
  });

  it('an operator’s own rollback that is skipped leaves what runs, and says so', async () => {
    const plan = aPlan();
    for (const word of ['one', 'two']) await result(await push(plan, word));
    refuses = ['rollBackStage'];
    const { workflow } = await laneOf(plan).executeUpdate(rollbackUpdate, {
      args: [{ stage: 'production', by: 'bob', reason: 'slow' }],
    });
    const handle = temporal.client.workflow.getHandle(workflow);
    await eventually('the rollback to run', () => handle.describe().catch(() => undefined));
    await skip(handle, 'rollback', 'it is fast again');
    const state = await result(handle);
    assert.deepEqual(
      [state.status, state.reason],
      [
        'failed',
        'production: a rollback was asked for by bob (unverified): slow; nothing was rolled back; rollback (production) skipped by ann (unverified): it is fast again',
      ],
    );
    const { stages, quarantine } = await laneState(plan);
    assert.equal(stages.production?.running?.digest, digestOf('two'));
    assert.deepEqual(quarantine, {});
    assert.equal((await result(await push(plan, 'three'))).status, 'delivered');
  });

  it('a rollback that is given up leaves the digest in quarantine, and the lane knows that it still runs', async () => {
    const plan = aPlan();
    refuses = ['rollBackStage'];
    const handle = await badAfterGood(plan);
    await until(handle, 'blocked');
    await handle.executeUpdate('reject', { args: [{ by: 'ann', step: 'rollback', reason: 'we look at it' }] });
    const state = await result(handle);
    assert.equal(state.status, 'failed');
    assert.match(state.reason ?? '', /the rollback of production was given up by ann/);
    const { stages, quarantine } = await laneState(plan);
    assert.equal(stages.production?.running?.digest, digestOf('bad'));
    assert.ok(quarantine[digestOf('bad')]);
  });

  it('a rollback that is aborted while it is blocked leaves the lane knowing what runs, so that the next one goes back one image', async () => {
    const plan = aPlan();
    refuses = ['rollBackStage'];
    const handle = await badAfterGood(plan);
    await until(handle, 'blocked');
    await handle.executeUpdate('abort', { args: [{ by: 'ann', reason: 'by hand' }] });
    assert.equal((await result(handle)).status, 'aborted');
    const { stages, quarantine } = await laneState(plan);
    assert.equal(stages.production?.running?.digest, digestOf('bad'));
    assert.ok(quarantine[digestOf('bad')], 'nobody has said that it is well');
    assert.equal(quarantine[digestOf('good')], undefined);
  });

  it('a revert that lacks a review keeps nobody from merging, and people are asked once it took too long', async () => {
    refuses = ['the review of a revert'];
    const plan = aPlan({}, { decideWithinMs: 4_000 });
    const handle = await badAfterGood(plan);
    await tests.when(handle, 'to wait', (state) => /waits for a review/.test(step(state, 'rollback')?.reason ?? ''));
    assert.equal((await result(await push(aPlan(), 'another service'))).status, 'delivered');
    const blocked = await until(handle, 'blocked');
    assert.match(blocked.reason ?? '', /could not be merged for too long: waits for a review/);
    await eventually('people to be told', async () => told.some(({ notice }) => notice.event === 'blocked'));
    refuses = [];
    await handle.executeUpdate('retry', { args: [{ by: 'ann', step: 'rollback' }] });
    assert.equal((await result(handle)).status, 'rolled-back');
  });

  it('the health of what is back, or the repository, can be left alone: it is rolled back, and says what was not done', async () => {
    for (const [what, told] of [
      ['watch of what is back', /@sha256:\w+ was brought back, and was not seen to be healthy/],
      ['revertChange', /@sha256:\w+ is back, healthy \d+\.\d s after the verdict; the repository was left as it is/],
    ] as const) {
      const plan = aPlan();
      refuses = [what];
      const handle = await badAfterGood(plan);
      await skip(handle, 'rollback', 'the hand edit is fine');
      const state = await result(handle);
      assert.equal(state.status, 'rolled-back', state.reason);
      assert.match(state.reason ?? '', told);
      assert.match(state.reason ?? '', /; rollback \(production\) skipped by ann \(unverified\): the hand edit is fine$/);
      assert.equal(step(state, 'rollback')?.status, 'skipped');
      assert.match(step(state, 'rollback')?.reason ?? '', /^skipped by ann \(unverified\): the hand edit is fine; /);
      assert.match(step(state, 'rollback')?.reason ?? '', told);
      const { stages, quarantine } = await laneState(plan);
      assert.equal(stages.production?.running?.digest, digestOf('good'));
      assert.ok(quarantine[digestOf('bad')]);
    }
  });

  it('a dispatch that is all that a stage has brings nothing there', async () => {
    refuses = ['dispatch'];
    const stages = [
      { name: 'production', rollback: 'off', dispatch: { repository: 'team/deployment', event: 'image' } } as const,
    ];
    const plan = aPlan({}, { stages });
    const handle = await push(plan, 'not sent');
    await skip(handle, 'dispatch', 'they are told by hand');
    const state = await result(handle);
    assert.deepEqual(
      [state.status, state.reason],
      ['unchanged', 'nothing was sent; dispatch (production) skipped by ann (unverified): they are told by hand'],
    );
    const { production } = (await laneState(plan)).stages;
    assert.deepEqual([production?.running, production?.current], [undefined, undefined]);
    assert.deepEqual(noticesOf('healthy'), []);
  });

  it('a message that is shown is brought to its end, also where nobody asked to be told of that end', async () => {
    refuses = ['scan'];
    const discord = notifierOf('discord', 'env:DISCORD', ['blocked']);
    const quiet = notifierOf('discord', 'env:OTHER', ['delivered']);
    const mail = notifierOf('email', { smtp: 'env:SMTP', from: 'a@example.org', to: ['b@example.org'] }, ['blocked']);
    const plan = aPlan({}, { notify: [discord, quiet, mail] });
    const handle = await push(plan, 'left open');
    await until(handle, 'blocked');
    await handle.executeUpdate('abort', { args: [{ by: 'ann' }] });
    assert.equal((await result(handle)).status, 'aborted');
    assert.deepEqual(
      told.map(({ notice, notifiers }) => [notice.event, notifiers]),
      [
        ['blocked', [discord, mail]],
        ['aborted', [discord]],
      ],
    );
  });
});
