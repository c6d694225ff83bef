import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { ApplicationFailure, TypedSearchAttributes } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import { createDecisions } from '../../src/activities/decisions.ts';
import { globalHoldUpdate, globalReleaseUpdate } from '../../src/contracts/messages.ts';
import { globalHoldId, globalHoldStartOptions, searchAttributes } from '../../src/contracts/start-options.ts';
import type { AuditEntry, DecisionEntry } from '../../src/domain/audit.ts';
import { hashOfToken } from '../../src/domain/decision-proof.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { type ProgressEntry, stepSentence, verdictSentence } from '../../src/domain/progress.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { createOpenRollouts, trigger } from '../../src/operations/index.ts';
import { auditSinks } from '../../src/process/workers.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { passes } from '../support/fake-activities.ts';
import { delivered, digestOf, stageOf } from '../support/plans.ts';
import { eventually } from '../support/wait.ts';
import { replayOptions } from '../support/worker.ts';
import { workflowTests } from '../support/workflow-tests.ts';

const stage = 'production';

describe('decisions in the audit log', function () {
  this.timeout(90_000);
  let entries: AuditEntry[];
  let moves: ProgressEntry[];
  // Without a cache every task replays the whole history: what was said before must not be said again.
  const audited = {
    maxCachedWorkflows: 0,
    sinks: auditSinks(
      (entry) => entries.push(entry),
      (entry) => moves.push(entry),
    ),
  };
  const { temporal, tags, world, work, push, reached, say, laneOf, ...tests } = workflowTests('audited', audited);
  beforeEach(() => {
    entries = [];
    moves = [];
  });

  const findings = async (): Promise<never> => {
    throw ApplicationFailure.create({ type: 'Vulnerable', message: 'one critical finding', nonRetryable: true });
  };
  const aPlan = (overrides: Partial<Plan['stages'][number]> = {}): Plan =>
    tests.aPlan({ stages: [stageOf(stage, { ...delivered, ...overrides })] });
  /** What differs, once so many are there; the rest is looked at here. */
  const decisions = async (wanted: number) => {
    const taken = () => entries.filter((entry) => entry.event_type === 'decision_made');
    await eventually(`${wanted} decisions`, async () => taken().length >= wanted);
    const made: readonly DecisionEntry[] = taken();
    for (const { timestamp, event_type, outcome, status } of made) {
      assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000, timestamp);
      assert.deepEqual([event_type, outcome, status], ['decision_made', 'accepted', 'accepted']);
    }
    return made.map(({ timestamp: _, event_type: __, outcome: ___, status: ____, ...entry }) => entry);
  };

  it('of a rollout: one line for each that was accepted, with who, and one for each that was refused, with why', async () => {
    await work({ 'check:scan': findings });
    const people = { from: [{ name: 'ann' }, { name: 'bob', github: 'bob-gh' }], required: 2, withinMs: 60_000 };
    const plan = aPlan({ approval: { ...people, selfApproval: true, verified: false } });
    const handle = await push(plan, 'one');
    await reached(handle, 'blocked');
    for (const [verb, decision] of [
      ['skip', { by: 'ann', step: 'scan' }],
      ['skip', { by: 'ann', step: 'scan', reason: 'known', proof: 'made up', earlier: 0 }],
      ['retry', { by: 'ann', step: 'smoke' }],
      ['approve', { by: 'ann' }],
    ] as const) {
      await assert.rejects(say(handle, verb, decision), verb);
    }
    await say(handle, 'retry', { by: 'ann', step: 'scan' });
    await reached(handle, 'blocked');
    await say(handle, 'skip', { by: 'ann', step: 'scan', reason: ' not\nreachable ', proof: 'proof of ann', earlier: 1 });
    await reached(handle, 'waiting');
    await assert.rejects(say(handle, 'approve', { by: 'mallory' }));
    await say(handle, 'approve', { by: 'ann', stage, reason: 'looks good' });
    await assert.rejects(say(handle, 'approve', { by: 'ann', stage }));
    const at = new Date().toISOString();
    const branch = `landfall/${plan.service}-${stage}`;
    world.reviews.set(branch, [{ by: 'Bob-GH', state: 'approved', commit: digestOf('one').slice(7, 47), at }]);
    await handle.signal('progress', { what: 'a review' });
    const { status, proposals, image } = (await handle.result()) as RolloutState;
    assert.equal(status, 'delivered');
    assert.equal(proposals[stage]?.branch, branch);
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
    const refusals = entries.filter((entry) => entry.event_type === 'decision_refused');
    assert.deepEqual(
      refusals.map(({ action, by, reason, workflow }) => [action, by, reason.slice(0, 24), workflow === handle.workflowId]),
      [
        ['skip', 'ann (unverified)', 'a skip is a waiver and n', true],
        ['skip', 'ann (unverified)', 'the proof is wrong', true],
        ['retry', 'ann (unverified)', 'cannot retry: smoke is n', true],
        ['approve', 'ann (unverified)', 'this rollout waits for n', true],
        ['approve', 'mallory (unverified)', 'mallory may not approve ', true],
        ['approve', 'ann (unverified)', 'ann has approved product', true],
      ],
    );
  });

  it('that end a rollout: reject and abort', async () => {
    await work({ 'check:scan': findings });
    const plan = aPlan();
    const rejected = await push(plan, 'bad');
    await reached(rejected, 'blocked');
    await say(rejected, 'reject', { by: 'ann', reason: 'no' });
    await rejected.result();
    const aborted = await push(plan, 'worse');
    await reached(aborted, 'blocked');
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

  it('of what is rolled out by hand: of a tag and of a digest, by whichever way it was asked for, and what that proves', async () => {
    const tokenHash = await hashOfToken('a token of ann that nobody could ever guess');
    const people = { operators: [{ name: 'ann', token: 'env:ANN', roles: ['operate'] }] as const, secrets: () => tokenHash };
    await work({ ...createDecisions({ ...people, vouchKey: async () => tokenHash }) });
    const plan = aPlan();
    tags.set(`${plan.repository}:latest`, digestOf('first'));
    const { repository } = plan;
    const tag = 'latest' as Tag;
    const [looked] = await trigger(temporal.client, [{ plan, image: { repository, tag }, tag }], { name: 'zoe' });
    const image = { repository, tag, digest: digestOf('second') };
    const [named] = await trigger(temporal.client, [{ plan, image, tag }], { name: 'ann', tokenHash });
    const [rollout] = named?.rollouts ?? [];
    await temporal.client.workflow.getHandle(rollout?.rollout ?? '').result();
    const [again] = await trigger(temporal.client, [{ plan, image: { repository, tag }, tag }], { name: 'ann', tokenHash });
    const forged = { name: 'ann', tokenHash: await hashOfToken('a token of mallory, who knows the name of ann') };
    await trigger(temporal.client, [{ plan, image: { repository, tag }, tag }], forged);
    const about = {
      source: 'operator',
      action: 'trigger',
      services: [plan.service],
      images: [repository],
      repositories: [],
      tag,
    };
    assert.deepEqual(await decisions(4), [
      { ...about, by: 'zoe (unverified)', workflow: looked?.workflow },
      { ...about, by: 'ann', digest: image.digest, workflow: rollout?.rollout },
      { ...about, by: 'ann', workflow: again?.workflow },
      { ...about, by: 'ann (unverified)', workflow: again?.workflow },
    ]);
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
    await temporal.client.workflow.getHandle(promotion).result();
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
    await reached(handle, 'blocked');
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

  it('and what becomes of each step is in the log once, as often as the history is replayed, and in the figures', async () => {
    await work({ 'check:scan': findings });
    const handle = await push(aPlan(), 'logged');
    await reached(handle, 'blocked');
    await say(handle, 'skip', { by: 'ann', reason: 'known' });
    assert.equal(((await handle.result()) as RolloutState).status, 'delivered');
    const { service } = moves[0] ?? {};
    assert.deepEqual(new Set(moves.map(({ rollout }) => rollout)), new Set([handle.workflowId]));
    const lines = moves
      .filter(({ step }) => step?.status !== 'running')
      .map(({ step, status, reason }) => (step === undefined ? verdictSentence(status, reason) : stepSentence(step)));
    const names = lines.map((line) => line.replace(/ \(\d+\.\d s\)|: .*/g, ''));
    assert.deepEqual(names, [...new Set(names)]);
    for (const name of ['verify passed', 'scan blocked', 'scan skipped', `deploy (${stage}) passed`, `watch (${stage}) passed`]) {
      assert.ok(names.includes(name), `${name} of ${names}`);
    }
    assert.equal(names.at(-1), 'delivered');
    const metrics = createMetrics();
    for (const entry of moves) metrics.moved(entry);
    const figures = await metrics.registry.metrics();
    for (const figure of [
      `landfall_rollouts_ended_total{service="${service}",end="delivered"} 1`,
      `landfall_deploys_total{service="${service}",stage="${stage}"} 1`,
      'landfall_step_failures_total{step="scan",failure="Vulnerable"} 1',
      'landfall_step_duration_seconds_count{step="scan",status="skipped"} 1',
      `landfall_time_to_healthy_seconds_count{service="${service}",stage="${stage}"} 1`,
      `landfall_time_to_delivered_seconds_count{service="${service}"} 1`,
    ]) {
      assert.ok(figures.includes(figure), `${figure} of\n${figures}`);
    }
  });

  /** What Temporal lists of one; for figures nobody has to work on it. @returns its name */
  const blockedBuild = async (): Promise<string> => {
    const name = 'audited-build';
    await temporal.client.workflow.start('build', {
      ...{ workflowId: `build:${name}:000000000000`, taskQueue: 'nobody', args: [{}] },
      typedSearchAttributes: new TypedSearchAttributes([
        { key: searchAttributes.service, value: name },
        { key: searchAttributes.status, value: 'blocked' },
      ]),
    });
    return name;
  };

  it('that wait for a person are figures, with the age of the oldest, and nothing is said while Temporal is away', async () => {
    await work({ 'check:scan': async ({ plan }) => (plan.stages[0]?.approval ? passes() : await findings()) });
    const approval = { from: [{ name: 'ann' }], required: 1, withinMs: 60_000, selfApproval: true, verified: false };
    const [blocked, asking] = [aPlan(), aPlan({ approval })];
    await reached(await push(blocked, 'blocked'), 'blocked');
    await reached(await push(asking, 'asking'), 'waiting');
    const build = await blockedBuild();
    const read = createOpenRollouts(temporal.client);
    // Lists lag behind a little.
    await eventually('the decisions', async () => (await read()).filter(({ decision }) => decision !== undefined).length === 3);
    const metrics = createMetrics();
    metrics.showOpen(read);
    const figures = await metrics.text();
    for (const figure of [
      'landfall_temporal_reachable 1',
      `landfall_rollouts{service="${blocked.service}",status="blocked"} 1`,
      `landfall_rollouts{service="${asking.service}",status="waiting"} 1`,
      `landfall_lane_depth{service="${asking.service}"} 1`,
      `landfall_decisions_waiting{service="${blocked.service}",kind="blocked"} 1`,
      `landfall_decisions_waiting{service="${asking.service}",kind="approval"} 1`,
      `landfall_decisions_waiting{service="${build}",kind="blocked"} 1`,
    ]) {
      assert.ok(figures.includes(figure), `${figure} of\n${figures}`);
    }
    assert.doesNotMatch(figures, new RegExp(`^landfall_(?:rollouts|lane_depth)\\{service="${build}"`, 'm'), 'it is in no lane');
    assert.match(figures, /landfall_oldest_decision_age_seconds\{kind="blocked"\} [1-9\d]/);
    const away = createMetrics();
    away.showOpen(async () => {
      throw new Error('it does not answer');
    });
    const silent = await away.text();
    assert.match(silent, /^landfall_temporal_reachable 0$/m);
    assert.doesNotMatch(silent, /^landfall_rollouts\{/m);
  });

  it('are taken by a worker that has nowhere to say them', async () => {
    await work({ 'check:scan': findings }, { maxCachedWorkflows: 0 });
    const handle = await push(aPlan(), 'silent');
    await reached(handle, 'blocked');
    await say(handle, 'skip', { by: 'ann', reason: 'known' });
    assert.equal(((await handle.result()) as RolloutState).status, 'delivered');
    assert.deepEqual(entries, []);
  });
});
