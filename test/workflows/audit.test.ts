import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import { globalHoldUpdate, globalReleaseUpdate, stateQuery } from '../../src/contracts/messages.ts';
import { globalHoldId, globalHoldStartOptions } from '../../src/contracts/start-options.ts';
import type { AuditEntry, DecisionEntry } from '../../src/domain/audit.ts';
import type { Plan } from '../../src/domain/plan.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { auditSinks } from '../../src/process/workers.ts';
import { delivered, digestOf, stageOf } from '../support/plans.ts';
import { eventually } from '../support/wait.ts';
import { replayOptions } from '../support/worker.ts';
import { workflowTests } from '../support/workflow-tests.ts';

const stage = 'production';

describe('decisions in the audit log', function () {
  this.timeout(90_000);
  let entries: AuditEntry[];
  // Without a cache every task replays the whole history: what was said before must not be said again.
  const audited = { maxCachedWorkflows: 0, sinks: auditSinks((entry) => entries.push(entry)) };
  const { temporal, world, work, push, until, say, laneOf, ...tests } = workflowTests('audited', audited);
  beforeEach(() => {
    entries = [];
  });

  const findings = async (): Promise<never> => {
    throw ApplicationFailure.create({ type: 'Vulnerable', message: 'one critical finding', nonRetryable: true });
  };
  const aPlan = (overrides: Partial<Plan['stages'][number]> = {}): Plan =>
    tests.aPlan({ stages: [stageOf(stage, { ...delivered, ...overrides })] });
  /** What differs, once so many are there; the rest is looked at here. */
  const decisions = async (wanted: number) => {
    await eventually(`${wanted} decisions`, async () => entries.length >= wanted);
    const made = entries as DecisionEntry[];
    for (const { timestamp, event_type, outcome, status } of made) {
      assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000, timestamp);
      assert.deepEqual([event_type, outcome, status], ['decision_made', 'accepted', 'accepted']);
    }
    return made.map(({ timestamp: _, event_type: __, outcome: ___, status: ____, ...entry }) => entry);
  };

  it('of a rollout: one line for each that was accepted, with who, and none for those that were refused', async () => {
    await work({ 'check:scan': findings });
    const people = { from: [{ name: 'ann' }, { name: 'bob', github: 'bob-gh' }], required: 2, withinMs: 60_000 };
    const plan = aPlan({ approval: { ...people, selfApproval: true, verified: false } });
    const handle = await push(plan, 'one');
    await until(handle, 'blocked');
    for (const [verb, decision] of [
      ['skip', { by: 'ann', step: 'scan' }],
      ['skip', { by: 'ann', step: 'scan', reason: 'known', proof: 'made up', earlier: 0 }],
      ['retry', { by: 'ann', step: 'smoke' }],
      ['approve', { by: 'ann' }],
    ] as const) {
      await assert.rejects(say(handle, verb, decision), verb);
    }
    await say(handle, 'retry', { by: 'ann', step: 'scan' });
    await until(handle, 'blocked');
    await say(handle, 'skip', { by: 'ann', step: 'scan', reason: ' not\nreachable ', proof: 'proof of ann', earlier: 1 });
    await until(handle, 'waiting');
    await assert.rejects(say(handle, 'approve', { by: 'mallory' }));
    await say(handle, 'approve', { by: 'ann', stage, reason: 'looks good' });
    await assert.rejects(say(handle, 'approve', { by: 'ann', stage }));
    const { proposals, image } = (await handle.query(stateQuery)) as RolloutState;
    const { branch = '', head = '' } = proposals[stage] ?? {};
    world.reviews.set(branch, [{ by: 'Bob-GH', state: 'approved', commit: head, at: new Date().toISOString() }]);
    await handle.signal('progress', { what: 'a review' });
    assert.equal(((await handle.result()) as RolloutState).status, 'delivered');
    const about = {
      ...{
        services: [plan.service],
        images: [plan.repository],
        repositories: [],
        digest: image.digest,
        workflow: handle.workflowId,
      },
    };
    assert.deepEqual(await decisions(4), [
      { source: 'operator', action: 'retry', by: 'ann (unverified)', step: 'scan', ...about },
      { source: 'operator', action: 'skip', by: 'ann', step: 'scan', reason: 'not reachable', ...about },
      { source: 'operator', action: 'approve', by: 'ann (unverified)', stage, step: 'approve', reason: 'looks good', ...about },
      { source: 'github', action: 'approve', by: 'bob', stage, step: 'approve', ...about },
    ]);
  });

  it('that end a rollout: reject and abort', async () => {
    await work({ 'check:scan': findings });
    const plan = aPlan();
    const rejected = await push(plan, 'bad');
    await until(rejected, 'blocked');
    await say(rejected, 'reject', { by: 'ann', reason: 'no' });
    await rejected.result();
    const aborted = await push(plan, 'worse');
    await until(aborted, 'blocked');
    await say(aborted, 'abort', { by: 'bob' });
    await aborted.result();
    assert.deepEqual(
      (await decisions(2)).map(({ action, by, step, reason, workflow }) => ({ action, by, step, reason, workflow })),
      [
        { action: 'reject', by: 'ann (unverified)', step: 'scan', reason: 'no', workflow: rejected.workflowId },
        { action: 'abort', by: 'bob (unverified)', step: undefined, reason: undefined, workflow: aborted.workflowId },
      ],
    );
  });

  it('of a lane: each verb once, and what it started', async () => {
    await work();
    const plan = aPlan();
    await (await push(plan, 'early')).result();
    await (await push(plan, 'late')).result();
    const lane = laneOf(plan);
    const by = 'ann';
    await say(lane, 'hold', { by, reason: 'audit' });
    await say(lane, 'release', { by });
    await assert.rejects(say(lane, 'release', { by }));
    await say(lane, 'hold', { by, stage });
    await say(lane, 'pin', { by, stage, digest: digestOf('late') });
    await say(lane, 'release', { by, stage });
    await say(lane, 'quarantine', { by, digest: digestOf('other'), reason: 'leaks' });
    await assert.rejects(say(lane, 'quarantine', { by, digest: digestOf('other') }));
    await say(lane, 'unquarantine', { by, digest: digestOf('other') });
    const { workflow: promotion } = await say<{ workflow: string }>(lane, 'promote', { by, stage, digest: digestOf('early') });
    await eventually('the promotion', async () => {
      const { stages } = await lane.query<{ stages: Record<string, { running?: { digest: string }; holder?: unknown }> }>('lane');
      return stages[stage]?.running?.digest === digestOf('early') && stages[stage]?.holder === undefined;
    });
    const { workflow: rollback } = await say<{ workflow: string }>(lane, 'rollback', { by, stage, reason: 'slow' });
    await eventually('the rollback', () =>
      temporal.client.workflow
        .getHandle(rollback)
        .result()
        .catch(() => false),
    );
    const about = {
      ...{ source: 'operator', by: 'ann (unverified)', workflow: lane.workflowId },
      ...{ services: [plan.service], images: [plan.repository], repositories: [] },
    };
    assert.deepEqual(await decisions(9), [
      { action: 'hold', reason: 'audit', ...about },
      { action: 'release', ...about },
      { action: 'hold', stage, ...about },
      { action: 'pin', stage, digest: digestOf('late'), ...about },
      { action: 'release', stage, ...about },
      { action: 'quarantine', digest: digestOf('other'), reason: 'leaks', ...about },
      { action: 'unquarantine', digest: digestOf('other'), ...about },
      { action: 'promote', stage, digest: digestOf('early'), started: promotion, ...about },
      { action: 'rollback', stage, started: rollback, reason: 'slow', ...about },
    ]);
  });

  it('of the global hold: set, released, and not what was refused', async () => {
    await work();
    const stop = (args: [{ by: string; reason?: string }]) =>
      temporal.client.workflow.executeUpdateWithStart(globalHoldUpdate, {
        args,
        startWorkflowOperation: new WithStartWorkflowOperation('globalHold', globalHoldStartOptions()),
      });
    await stop([{ by: 'ann', reason: 'an incident' }]);
    const line = temporal.client.workflow.getHandle(globalHoldId);
    await line.executeUpdate(globalReleaseUpdate, { args: [{ by: 'bob' }] });
    await assert.rejects(line.executeUpdate(globalReleaseUpdate, { args: [{ by: 'bob' }] }));
    const about = { source: 'operator', services: [], images: [], repositories: [], workflow: globalHoldId };
    assert.deepEqual(await decisions(2), [
      { action: 'hold', by: 'ann (unverified)', reason: 'an incident', ...about },
      { action: 'release', by: 'bob (unverified)', ...about },
    ]);
    await line.terminate();
  });

  it('leave nothing in the history, and nothing is said again when it is replayed', async () => {
    await work({ 'check:scan': findings });
    const plan = aPlan();
    const handle = await push(plan, 'replayed');
    await until(handle, 'blocked');
    await say(handle, 'abort', { by: 'ann' });
    await handle.result();
    await decisions(1);
    const kept = readFileSync(new URL('../replay/lane-steered.json', import.meta.url), 'utf8');
    const { namespace } = temporal.client.options;
    for (const [options, history] of [
      [await replayOptions({ namespace }), await handle.fetchHistory()],
      [await replayOptions(), JSON.parse(kept)],
    ]) {
      const sinks = auditSinks((entry) => entries.push(entry));
      await Worker.runReplayHistory({ ...options, sinks, replayName: 'audited' }, history, handle.workflowId);
    }
    assert.equal(entries.length, 1);
  });

  it('are taken by a worker that has nowhere to say them', async () => {
    await work({ 'check:scan': findings }, { maxCachedWorkflows: 0 });
    const handle = await push(aPlan(), 'silent');
    await until(handle, 'blocked');
    await say(handle, 'skip', { by: 'ann', reason: 'known' });
    assert.equal(((await handle.result()) as RolloutState).status, 'delivered');
    assert.deepEqual(entries, []);
  });
});
