import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { stateQuery } from '../../../src/contracts/messages.ts';
import { rolloutStartOptions } from '../../../src/contracts/start-options.ts';
import type { Checked, CheckResult } from '../../../src/domain/outcomes.ts';
import type { Decision, RolloutState } from '../../../src/domain/rollout-state.ts';
import { passes } from '../../support/fake-activities.ts';
import { digestOf, imageOf, pushOf, stageOf } from '../../support/plans.ts';
import { eventually } from '../../support/wait.ts';
import { workflowTests } from '../../support/workflow-tests.ts';

describe('a rollout', function () {
  this.timeout(60_000);
  const { temporal, activities, aPlan, work, start: begin, result, until, reached } = workflowTests('web');
  const refuses = (type: string, message = 'no'): never => {
    throw ApplicationFailure.create({ type, message, nonRetryable: true, details: [{ hint: message }] });
  };

  it('goes from verify to a proposal in at most 60 events', async () => {
    await work();
    const handle = await begin(aPlan(), 'good');
    const state = await result(handle);
    assert.equal(state.status, 'proposed');
    assert.deepEqual(
      state.steps.map(({ step, status }) => `${step} ${status}`),
      ['verify passed', 'scan passed', 'smoke passed', 'confirm passed', 'propose passed'],
    );
    const { historyLength } = await handle.describe();
    assert.ok(historyLength <= 60, `${historyLength} events`);
  });

  it('can be found in lists by service and status, with reason and proposal in the memo', async () => {
    await work();
    const plan = aPlan();
    await result(await begin(plan, 'listed'));
    const query = `LandfallService = '${plan.service}' AND LandfallStatus = 'proposed'`;
    const found = await eventually('visibility to list it', async () => {
      for await (const info of temporal.client.workflow.list({ query })) return info;
      return undefined;
    });
    assert.match(String(found.memo?.proposal), /^https:\/\/forge\.example\.test/);
  });

  it('goes on after a retry of the blocked step', async () => {
    let tries = 0;
    await work({
      'check:scan': async () => (++tries === 1 ? refuses('ScanRejected', '1 critical finding') : passes()),
    });
    const handle = await begin(aPlan(), 'retried');
    const blocked = await until(handle, 'blocked');
    assert.equal(blocked.reason, '1 critical finding');
    assert.deepEqual(blocked.steps.find(({ step }) => step === 'scan')?.details, { hint: '1 critical finding' });
    await handle.executeUpdate('retry', { args: [{ step: 'scan', by: 'ann' }] });
    assert.equal((await result(handle)).status, 'proposed');
  });

  it('goes on after a skip, and tells the proposal who waived what and why', async () => {
    let waived: unknown;
    const usual = activities();
    await work({
      'check:scan': async () => refuses('ScanRejected'),
      propose: async (input) => {
        waived = input.checks.find(({ kind }) => kind === 'scan')?.outcome;
        return usual.propose(input);
      },
    });
    const handle = await begin(aPlan(), 'skipped');
    await until(handle, 'blocked');
    await handle.executeUpdate('skip', { args: [{ by: 'ann', reason: 'not reachable' }] });
    assert.equal((await result(handle)).status, 'proposed');
    assert.deepEqual(waived, { kind: 'skipped', by: 'ann (unverified)', reason: 'not reachable' });
  });

  it('runs a check that it has never heard of, begins one that waits only after the others, and tells the proposal', async () => {
    const order: string[] = [];
    let told: readonly CheckResult[] = [];
    const usual = activities();
    const run = (kind: string) => async (): Promise<Checked> => {
      order.push(kind);
      return { kind: 'checked', text: `${kind} is fine`, evidence: [{ title: kind, passed: true, text: 'fine' }] };
    };
    await work({
      'check:signature': run('signature'),
      'check:provenance': run('provenance'),
      propose: async (input) => {
        told = input.checks;
        return usual.propose(input);
      },
    });
    const check = (kind: string, after: readonly string[]) => {
      return { kind, title: kind, after, timeoutMs: 10_000, needsDocker: false, settings: {} };
    };
    const plan = aPlan({ checks: [check('signature', []), check('provenance', ['signature'])] });
    const { status, steps } = await result(await begin(plan, 'toys'));
    assert.equal(status, 'proposed');
    assert.deepEqual(order, ['signature', 'provenance']);
    assert.deepEqual(
      steps.slice(0, 3).map(({ step, status, reason }) => `${step} ${status} ${step === 'verify' ? '' : reason}`),
      ['verify passed ', 'signature passed signature is fine', 'provenance passed provenance is fine'],
    );
    assert.deepEqual(
      told.map(({ kind, outcome }) => [kind, outcome.kind]),
      [
        ['signature', 'checked'],
        ['provenance', 'checked'],
      ],
    );
  });

  it('does not begin a check whose predecessor is blocked', async () => {
    let begun = 0;
    await work({
      'check:signature': async () => refuses('SignatureRejected'),
      'check:provenance': async () => {
        begun += 1;
        return passes();
      },
    });
    const check = (kind: string, after: readonly string[]) => {
      return { kind, title: kind, after, timeoutMs: 10_000, needsDocker: false, settings: {} };
    };
    const plan = aPlan({ checks: [check('signature', []), check('provenance', ['signature'])] });
    const handle = await begin(plan, 'blocked toys');
    const { steps } = await until(handle, 'blocked');
    assert.deepEqual([begun, steps.find(({ step }) => step === 'provenance')?.status], [0, 'pending']);
    await handle.executeUpdate('skip', { args: [{ by: 'ann', reason: 'known' }] });
    assert.equal((await result(handle)).status, 'proposed');
    assert.equal(begun, 1);
  });

  it('refuses decisions that do not apply, and says what would', async () => {
    await work({ 'check:scan': async () => refuses('ScanRejected') });
    const handle = await begin(aPlan(), 'refusing');
    await until(handle, 'blocked');
    const decide = (verb: string, decision: Decision) =>
      handle.executeUpdate<RolloutState, [Decision]>(verb, { args: [decision] });
    await assert.rejects(decide('retry', { step: 'smoke' }), (error: Error) => /scan/.test(String(error.cause)));
    await assert.rejects(decide('skip', { step: 'scan' }), (error: Error) => /needs a reason/.test(String(error.cause)));
    await assert.rejects(decide('retry', { step: 'propose', stage: 'production' }), (error: Error) =>
      /not blocked/.test(String(error.cause)),
    );
    await decide('reject', { reason: 'known bad' });
    const state = await result(handle);
    assert.equal(state.status, 'rejected');
    assert.match(state.reason ?? '', /known bad/);
  });

  it('that an operator rejected is quarantined: its next run ends rejected and touches nothing', async () => {
    let scans = 0;
    await work({
      'check:scan': async () => {
        scans += 1;
        return refuses('ScanRejected');
      },
    });
    const plan = aPlan();
    const handle = await begin(plan, 'bad');
    await until(handle, 'blocked');
    await handle.executeUpdate('reject', { args: [{ by: 'ann', reason: 'malware' }] });
    await result(handle);
    const image = imageOf(plan, 'bad');
    const start = rolloutStartOptions({ plan, image, push: pushOf(image), manual: true });
    const again = await result(await temporal.client.workflow.start('rollout', start));
    assert.equal(again.status, 'rejected');
    assert.match(again.reason ?? '', /Quarantined.*malware/);
    assert.equal(scans, 1);
  });

  it('is aborted while a step runs, and waits for that step to clean up', async () => {
    let cleaned = false;
    let beating = false;
    const { Context, CancelledFailure } = await import('@temporalio/activity');
    await work({
      'check:smoke': async () => {
        const context = Context.current();
        beating = true;
        const beat = setInterval(() => context.heartbeat(), 200);
        try {
          await context.cancelled;
          throw new CancelledFailure('unreachable');
        } finally {
          await new Promise((resolve) => setTimeout(resolve, 300));
          cleaned = true;
          clearInterval(beat);
        }
      },
    });
    const handle = await begin(aPlan(), 'aborted');
    await eventually('the smoke test to start', async () => beating);
    await handle.executeUpdate('abort', { args: [{ by: 'ann', reason: 'wrong image' }] });
    const ended = await result(handle);
    assert.equal(ended.status, 'aborted');
    assert.match(ended.reason ?? '', /ann.*wrong image/);
    assert.equal(cleaned, true);
  });

  it('expires when nobody decides in time', async () => {
    await work({ 'check:smoke': async () => refuses('SmokeFailed', 'exit code 3') });
    const state = await result(await begin(aPlan({ decideWithinMs: 500 }), 'forgotten'));
    assert.equal(state.status, 'expired');
  });

  it('lets the step beside a failed one finish before it is blocked', async () => {
    let smoked = (): void => assert.fail('not started');
    const started = new Promise<void>((resolve) => {
      smoked = resolve;
    });
    await work({
      'check:scan': async () => refuses('ScanRejected'),
      'check:smoke': async () => {
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        smoked();
        return passes();
      },
    });
    const handle = await begin(aPlan(), 'siblings');
    await until(handle, 'blocked');
    await started;
    assert.equal((await handle.query(stateQuery)).steps.find(({ step }) => step === 'smoke')?.status, 'passed');
    await handle.executeUpdate('abort', { args: [{}] });
  });

  it('ends rejected at once where no decision could change the answer', async () => {
    await work({ verify: async () => refuses('NotAnImage', 'a Helm chart') });
    const state = await result(await begin(aPlan(), 'chart'));
    assert.equal(state.status, 'rejected');
    assert.match(state.reason ?? '', /NotAnImage: a Helm chart/);
  });

  it('sleeps through a rate limit and goes on', async () => {
    const usual = activities();
    let calls = 0;
    await work({
      propose: async (input) =>
        ++calls === 1 ? { kind: 'rate-limited', until: new Date(Date.now() + 1_500).toISOString() } : usual.propose(input),
    });
    const handle = await begin(aPlan(), 'limited');
    const waiting = await until(handle, 'waiting');
    assert.match(waiting.steps.find(({ step }) => step === 'propose')?.reason ?? '', /asked to wait/);
    assert.equal((await result(handle)).status, 'proposed');
  });

  it('replays every step with the workflow cache off', async () => {
    let scans = 0;
    await work({ 'check:scan': async () => (++scans === 1 ? refuses('ScanRejected') : passes()) }, { maxCachedWorkflows: 0 });
    const handle = await begin(aPlan(), 'uncached');
    await reached(handle, 'blocked');
    await handle.executeUpdate('retry', { args: [{}] });
    const state = await result(handle);
    assert.equal(state.status, 'proposed');
    assert.equal(scans, 2);
  });

  it('goes stage by stage: a stage whose base has the image already is passed by', async () => {
    const usual = activities();
    await work({
      propose: async (input) =>
        input.stage.name === 'staging' ? { kind: 'unchanged', base: 'main', head: 'a'.repeat(40) } : usual.propose(input),
    });
    const plan = aPlan({
      stages: [stageOf('staging'), stageOf('production', { dispatch: { repository: 'team/deployment', event: 'image' } })],
    });
    const state = await result(await begin(plan, 'staged'));
    assert.equal(state.status, 'proposed');
    assert.deepEqual(Object.keys(state.proposals), ['production']);
    assert.ok(
      state.steps.some(({ step, stage, status }) => step === 'dispatch' && stage === 'production' && status === 'passed'),
    );
  });

  it('that was redelivered after its end is unchanged and touches nothing', async () => {
    let verifies = 0;
    const usual = activities();
    await work({
      verify: async (input) => {
        verifies += 1;
        return usual.verify(input);
      },
    });
    const plan = aPlan();
    await result(await begin(plan, 'twice'));
    const again = await result(await begin(plan, 'twice'));
    assert.equal(again.status, 'unchanged');
    assert.equal(verifies, 1);
    assert.equal(digestOf('twice'), again.image.digest);
  });
});
