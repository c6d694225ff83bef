import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import type { AuditEntry, DecisionEntry } from '../../src/domain/audit.ts';
import type { Plan } from '../../src/domain/plan.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { listRollouts } from '../../src/operations/index.ts';
import { auditSinks } from '../../src/process/workers.ts';
import { delivered, digestOf, stageOf } from '../support/plans.ts';
import { eventually } from '../support/wait.ts';
import { workflowTests } from '../support/workflow-tests.ts';

const stage = 'production';

describe('a rollout that is not to go on as it was planned', function () {
  this.timeout(90_000);
  const entries: AuditEntry[] = [];
  const sinks = auditSinks((entry) => entries.push(entry));
  const { temporal, world, work, push, until, say, refused, result, ...tests } = workflowTests('changed', { sinks });
  const aPlan = (overrides: Partial<Plan['stages'][number]> = {}): Plan =>
    tests.aPlan({ stages: [stageOf(stage, { ...delivered, ...overrides })] });

  it('begins anew with the new configuration, under the same id, when a blocked step is retried so', async () => {
    const old = aPlan();
    const now: Plan = { ...old, checks: [] };
    await work({
      'check:scan': async () => {
        throw ApplicationFailure.create({ type: 'ScanRejected', message: 'one critical finding', nonRetryable: true });
      },
      planNow: async ({ service, tag }) => (service === old.service && tag === 'latest' ? now : undefined),
    });
    const handle = await push(old, 'renewed');
    await until(handle, 'blocked');
    await say(handle, 'renew', { by: 'ann', step: 'scan', reason: 'it is no longer scanned' });
    const state = await result(handle);
    assert.equal(state.status, 'delivered');
    assert.ok(!state.steps.some(({ step }) => step === 'scan'), 'it has the steps of the new plan');
    // Lists lag behind a little.
    const runs = await eventually('both runs to be listed', async () => {
      const rows = await listRollouts(temporal.client, { service: old.service, limit: 10, allRuns: true });
      return rows.length === 2 && rows.every(({ status }) => status !== 'running') && rows;
    });
    assert.deepEqual(runs.map(({ status }) => status).sort(), ['aborted', 'delivered']);
    const first = runs.find(({ status }) => status === 'aborted');
    assert.match(first?.reason ?? '', /^begins anew with the new configuration, by ann \(unverified\): it is no longer scanned/);
    const [decision] = entries as DecisionEntry[];
    assert.deepEqual([decision?.action, decision?.step], ['renew', 'scan']);
    assert.deepEqual((await tests.laneState(old)).quarantine, {});
  });

  it('begins a promotion anew for its own stage alone: the others have later images', async () => {
    let isBroken = false;
    const stages = ['staging', stage].map((name) => stageOf(name, delivered));
    const plan = tests.aPlan({ stages });
    await work({
      'check:scan': async () => {
        if (isBroken) throw ApplicationFailure.create({ type: 'ScanRejected', message: 'one', nonRetryable: true });
        return { kind: 'checked', text: 'nothing', evidence: [] };
      },
      planNow: async () => ({ ...plan, checks: [] }),
    });
    await result(await push(plan, 'older'));
    await result(await push(plan, 'newer'));
    isBroken = true;
    const { workflow } = await say<{ workflow: string }>(tests.laneOf(plan), 'promote', {
      ...{ stage, digest: digestOf('older'), by: 'ann', reason: 'the newer one is slow' },
    });
    const promotion = temporal.client.workflow.getHandle(workflow);
    await until(promotion, 'blocked');
    await say(promotion, 'renew', { by: 'ann', step: 'scan' });
    const state = await result(promotion);
    assert.equal(state.status, 'delivered', state.reason);
    assert.deepEqual([...world.stage(plan, 'staging').containers.values()], [digestOf('newer')]);
    assert.deepEqual([...world.stage(plan, stage).containers.values()], [digestOf('older')]);
  });

  it('stays blocked where the configuration has nothing for it any more, and goes on when it is retried as it was', async () => {
    let isBroken = true;
    await work({
      'check:scan': async () => {
        if (isBroken) throw ApplicationFailure.create({ type: 'ScanFailed', message: 'no database', nonRetryable: true });
        return { kind: 'checked', text: 'nothing', evidence: [] };
      },
    });
    const handle = await push(aPlan(), 'unfollowed');
    await until(handle, 'blocked');
    await say(handle, 'renew', { by: 'ann' });
    await tests.when(handle, 'to say why', ({ reason = '' }) => /does not follow this image .* any more/.test(reason));
    isBroken = false;
    await say(handle, 'retry', { by: 'ann' });
    assert.equal((await result(handle)).status, 'delivered');
  });

  it('goes on outside of its windows where somebody says so with a reason, which stays in sight, but no hold is passed over', async () => {
    await work();
    const closed = { kind: 'allow', timezone: 'UTC', weekly: closedNow(), reason: 'only at night' } as const;
    const plan = aPlan({ windows: [closed] });
    const handle = await push(plan, 'urgent');
    const waiting = await until(handle, 'waiting');
    const id = handle.workflowId.replace('rollout:', '');
    assert.ok(waiting.reason?.endsWith(`; if it is urgent: landfall skip ${id} window --stage production --reason TEXT`));
    assert.match(waiting.reason ?? '', /only at night/);
    await refused(say(handle, 'skip', { by: 'ann', step: 'window' }), /needs a reason/);
    await refused(say(handle, 'skip', { by: 'ann', step: 'window', stage: 'staging', reason: 'now' }), /no such stage waits/);
    await say(tests.laneOf(plan), 'hold', { by: 'bob', reason: 'sale' });
    await say(handle, 'skip', { by: 'ann', step: 'window', stage, reason: 'customers wait' });
    await tests.when(handle, 'to wait for the hold', ({ reason = '' }) => /held by bob/.test(reason));
    await refused(say(handle, 'skip', { by: 'ann', step: 'window', reason: 'once more' }), /no such stage waits for its window/);
    await say(tests.laneOf(plan), 'release', { by: 'bob' });
    await handle.signal('progress', { what: 'it is released' });
    const state: RolloutState = await result(handle);
    assert.equal(state.status, 'delivered');
    assert.match(state.reason ?? '', /window \(production\) skipped by ann \(unverified\): customers wait/);
    const window = state.steps.find(({ step }) => step === 'window');
    assert.deepEqual([window?.stage, window?.status], [stage, 'skipped']);
    assert.ok((entries as DecisionEntry[]).some(({ action, step }) => action === 'skip' && step === 'window'));
  });
});

/** Open for an hour on a day that is not today. */
function closedNow(): string {
  const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
  const day = days[(new Date().getUTCDay() + 3) % 7];
  return `${day} 10:00 - ${day} 11:00`;
}
