import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import {
  WithStartWorkflowOperation,
  WorkflowFailedError,
  type WorkflowHandle,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { ApplicationFailure, type Payload } from '@temporalio/common';
import type { Activities } from '../../src/contracts/activities/index.ts';
import type { Sealing } from '../../src/contracts/seal.ts';
import { sealedClient } from '../../src/contracts/sealed-client.ts';
import {
  globalHoldId,
  globalHoldStartOptions,
  resolveStartOptions,
  rolloutStartOptions,
  taskQueues,
} from '../../src/contracts/start-options.ts';
import type { Plan } from '../../src/domain/plan.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { readRollout } from '../../src/operations/index.ts';
import { fakeActivities } from '../support/fake-activities.ts';
import { delivered, deployOf, imageOf, pushOf, stageOf } from '../support/plans.ts';
import { startStrangerWorker, strangerOf, strangerQueue } from '../support/stranger.ts';
import type { StrangerStart } from '../support/stranger-workflows.ts';
import { testKey, testSealing } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { startWorkers } from '../support/worker.ts';
import { workflowTests } from '../support/workflow-tests.ts';

const notSealed = /is not sealed with Landfall's key: /;
const approval = { from: [{ name: 'ann' }], required: 1, withinMs: 60_000, selfApproval: true, verified: false };
const evil = { kind: 'command', command: ['sh', '-c', 'id > pwned'], timeoutMs: 5_000 } as const;

type Event = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];

describe('somebody who reaches Temporal and has no key', function () {
  this.timeout(60_000);
  const { temporal, activities, world, aPlan, work, stopWorkers, push, result, when, until, say, laneOf } =
    workflowTests('sealed');
  const calls: string[] = [];
  const stranger = () => strangerOf(temporal);

  /** Notes each activity that is done. */
  async function workNoted(overrides: Partial<Activities> = {}): Promise<void> {
    calls.splice(0);
    const noted = Object.entries(activities(overrides)).map(([name, act]) => [
      name,
      (input: unknown) => {
        calls.push(name);
        return act(input as never);
      },
    ]);
    await work(Object.fromEntries(noted));
  }

  const failsUnsealed = (ending: Promise<unknown>): Promise<void> =>
    assert.rejects(ending, (error: unknown) => {
      assert.ok(error instanceof WorkflowFailedError, String(error));
      assert.match(inspect(error.cause), notSealed);
      return true;
    });
  const refusedUnsealed = (saying: Promise<unknown>): Promise<void> =>
    assert.rejects(saying, (error: unknown) => {
      assert.ok(error instanceof WorkflowUpdateFailedError, String(error));
      assert.match(String(error.cause?.message), notSealed);
      return true;
    });

  async function eventsOf(handle: WorkflowHandle): Promise<readonly Event[]> {
    return (await handle.fetchHistory()).events ?? [];
  }
  /** What a rollout was started with, as it is in its history. */
  async function startOf(handle: WorkflowHandle): Promise<Payload> {
    const [first] = await eventsOf(handle);
    return first?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0] ?? assert.fail('a start without an input');
  }
  /** What an update brought. */
  async function updateOf(handle: WorkflowHandle, name: string): Promise<Payload> {
    const accepted = (await eventsOf(handle)).map(
      (event) => event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest,
    );
    const request = accepted.find((each) => each?.input?.name === name);
    return request?.input?.args?.payloads?.[0] ?? assert.fail(`no update ${name}`);
  }

  /** A plan that would run a command of somebody else's. */
  const evilPlan = (): Plan => {
    const watch = { probes: [evil], forMs: 1_000, intervalMs: 500, failures: 0, startPeriodMs: 0, withinMs: 5_000 };
    return aPlan({ stages: [{ name: 'production', rollback: 'off', watch }] });
  };
  const waitingRollout = async (plan: Plan, word: string): Promise<WorkflowHandle> => {
    const handle = await push(plan, word);
    await until(handle, 'waiting');
    return handle;
  };

  it('starts nothing of ours, whatever the workflow and its plan', async () => {
    await workNoted();
    const { client } = stranger();
    const plan = evilPlan();
    const image = imageOf(plan, 'evil');
    const request = { plan, push: pushOf(image) };
    const inputs = {
      rollout: { plan, image, push: pushOf(image) },
      rollback: { service: plan.service, stage: 'production', running: { plan, image }, by: 'ann', at: '' },
      lane: { service: plan.service, pendingStarts: [{ kind: 'promotion', start: { plan, image, push: pushOf(image) } }] },
      globalHold: { pendingProgress: { what: 'x' } },
      mergeQueue: { called: [{ rollout: 'rollout:x', runId: 'x' }] },
      passThrough: { plan, pushes: [pushOf(image)] },
      resolve: [request],
      notify: { queues: { targets: {}, seen: [] } },
      search: { registry: 'registry.example.test', everyMs: 60_000 },
      redeliver: {},
    };
    const starts = Object.entries(inputs).map(([type, input]) =>
      client.workflow.execute(type, { workflowId: `${type}:${plan.service}:x`, taskQueue: taskQueues.main, args: [input] }),
    );
    await Promise.all(starts.map(failsUnsealed));
    // Nothing is what these are started with, and a signal brings the rest.
    const asked = await client.workflow.signalWithStart('resolve', resolveStartOptions(request));
    await asked.query('__stack_trace');
    assert.deepEqual(calls, []);
    assert.equal((await asked.describe()).status.name, 'RUNNING');
  });

  it('decides nothing about a rollout or a lane, and leaves nothing in the history of the lane', async () => {
    await workNoted();
    const plan = aPlan({ stages: [stageOf('production', { ...delivered, approval })] });
    const rollout = await waitingRollout(plan, 'decided');
    const { client } = stranger();
    const [theirs, lane] = [client.workflow.getHandle(rollout.workflowId), client.workflow.getHandle(laneOf(plan).workflowId)];
    const before = (await eventsOf(lane)).filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length;
    const decision = { by: 'ann', stage: 'production', step: 'approve', reason: 'so', digest: imageOf(plan, 'decided').digest };
    const verbs = ['approve', 'retry', 'skip', 'reject', 'abort'];
    await Promise.all(verbs.map((verb) => refusedUnsealed(theirs.executeUpdate(verb, { args: [decision] }))));
    await refusedUnsealed(theirs.executeUpdate('abort'));
    const { runId } = await rollout.describe();
    const laneVerbs = ['hold', 'release', 'pin', 'quarantine', 'unquarantine', 'rollback', 'promote'];
    const reports = [
      'enter',
      'verified',
      'requestTurn',
      'releaseTurn',
      'leave',
      'beginChange',
      'running',
      'rolledBack',
      'notRolledBack',
    ];
    const said = { ...decision, rollout: rollout.workflowId, runId };
    await Promise.all([...laneVerbs, ...reports].map((verb) => refusedUnsealed(lane.executeUpdate(verb, { args: [said] }))));
    assert.equal((await eventsOf(lane)).filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length, before);
    await theirs.signal('supersede', { by: 'rollout:x', where: { stage: 'production' } });
    await theirs.signal('grant', { stage: 'production' });
    assert.equal((await until(rollout, 'waiting')).status, 'waiting');
    const startWorkflowOperation = new WithStartWorkflowOperation('globalHold', globalHoldStartOptions());
    await assert.rejects(client.workflow.executeUpdateWithStart('hold', { args: [decision], startWorkflowOperation }));
    await say(rollout, 'approve', { by: 'ann' });
    assert.equal((await result(rollout)).status, 'delivered');
  });

  it('cannot use what somebody with the key has said: not for another workflow, for another use, once more, or later', async () => {
    await workNoted({ 'check:scan': () => Promise.reject(ApplicationFailure.nonRetryable('a finding', 'ScanRejected')) });
    const plan = aPlan();
    const rollout = await push(plan, 'copied');
    await until(rollout, 'blocked');
    const { start, update } = stranger();
    const elsewhere = await start('rollout', `rollout:${plan.service}:other:x`, taskQueues.main, await startOf(rollout));
    await failsUnsealed(elsewhere.result());

    await say(rollout, 'retry', { by: 'ann', step: 'scan' });
    await until(rollout, 'blocked');
    const retry = await updateOf(rollout, 'retry');
    for (const verb of ['skip', 'abort', 'retry'])
      assert.match(
        (await update(rollout.workflowId, verb, `the second ${verb}`, retry)) ?? '',
        /sealed for another use: update retry/,
      );
    const lane = laneOf(plan);
    await say(lane, 'hold', { by: 'ann', stage: 'production' });
    const hold = await updateOf(lane, 'hold');
    assert.match((await update(lane.workflowId, 'rollback', 'x', hold)) ?? '', /it was sealed for another use: update hold/);

    const { connection } = temporal.client;
    const now = () => Date.now() - 6 * 60_000;
    const earlier = sealedClient({ connection, namespace: temporal.namespace, sealing: testSealing, now });
    const options = rolloutStartOptions({ plan, image: imageOf(plan, 'earlier'), push: pushOf(imageOf(plan, 'earlier')) });
    await failsUnsealed(earlier.workflow.execute('rollout', options));
    await refusedUnsealed(earlier.workflow.getHandle(lane.workflowId).executeUpdate('release', { args: [{ by: 'ann' }] }));
    await say(rollout, 'abort', { by: 'ann' });
    await result(rollout);
  });

  it('has no activity done by a worker of ours, not even one that was done before', async () => {
    await workNoted();
    const plan = aPlan({ stages: [stageOf('production', delivered)] });
    const rollout = await push(plan, 'asked for');
    await result(rollout);
    const scheduled = (await eventsOf(rollout))
      .map((event) => event.activityTaskScheduledEventAttributes)
      .find((each) => each?.activityType?.name === 'deployStage');
    const done = scheduled?.input?.payloads?.[0] ?? assert.fail('no deploy');
    calls.splice(0);
    let stolen: Payload | undefined;
    const worker = await startStrangerWorker(temporal, () => stolen);
    try {
      const ask = (start: StrangerStart, workflowId: string) =>
        stranger().client.workflow.execute('stranger', { workflowId, taskQueue: strangerQueue, args: [start] });
      const input = {
        plan: evilPlan(),
        stage: { name: 'x', deploy: deployOf('docker', {}) },
        image: imageOf(plan, 'evil'),
        turn: 1e9,
      };
      const taskQueue = scheduled?.taskQueue?.name ?? '';
      await failsUnsealed(ask({ taskQueue, activity: 'deployStage', input }, `rollout:${plan.service}:x:y`));
      stolen = done;
      const again = { taskQueue, activity: 'deployStage', input, activityId: scheduled?.activityId ?? '' };
      await failsUnsealed(ask(again, `rollout:${plan.service}:x:y`));
      // In a later run of that very workflow, as that very activity.
      await failsUnsealed(ask(again, rollout.workflowId));
      assert.deepEqual(calls, []);
    } finally {
      await worker.stop();
    }
  });

  it('answers for no activity, and no "no" of theirs rolls anything back', async () => {
    const hanging = new Map<string, () => void>();
    const hangs = (name: string) => () => new Promise<never>((_, fail) => hanging.set(name, () => fail(new Error('over'))));
    await workNoted({ 'check:scan': hangs('check:scan'), watchStage: hangs('watchStage') });
    const plan = aPlan({ stages: [stageOf('production', delivered)] });
    const rollout = await push(plan, 'answered for');
    const { client } = stranger();
    const pending = async (activity: string): Promise<{ workflowId: string; activityId: string }> => {
      await eventually(`${activity} to begin`, async () => hanging.has(activity));
      const { raw } = await rollout.describe();
      const found = raw.pendingActivities?.find(({ activityType }) => activityType?.name === activity);
      return { workflowId: rollout.workflowId, activityId: found?.activityId ?? '' };
    };
    await client.activity.complete(await pending('check:scan'), { kind: 'checked', text: 'fine', evidence: [] });
    assert.match((await until(rollout, 'blocked')).reason ?? '', /the answer of check:scan is not sealed/);
    await say(rollout, 'skip', { by: 'ann', step: 'scan', reason: 'a test' });
    await client.activity.heartbeat(await pending('watchStage'), { healthyForMs: 1e9 });
    // Its next attempt is told how far this one was.
    hanging.get('watchStage')?.();
    assert.match((await until(rollout, 'blocked')).reason ?? '', /how far an earlier attempt of watchStage was is not sealed/);
    hanging.delete('watchStage');
    await say(rollout, 'retry', { by: 'ann', step: 'watch' });
    await client.activity.fail(await pending('watchStage'), ApplicationFailure.nonRetryable('it is down', 'Unhealthy'));
    const blocked = await until(rollout, 'blocked');
    assert.match(blocked.reason ?? '', /a failure of watchStage \(it is down\) is not sealed/);
    assert.ok(!world.stage(plan, 'production').log.some((line) => line.startsWith('restore')));
    for (const end of hanging.values()) end();
    await say(rollout, 'abort', { by: 'ann' });
    await result(rollout);
  });

  it('who sets a global hold is told apart from operators, and the hold is kept', async () => {
    await work();
    const memo = { hold: { by: 'ann', at: '2026-11-29T12:00:00.000Z' } };
    const options = { workflowId: globalHoldId, taskQueue: strangerQueue, args: [{}], memo };
    const hold = await stranger().client.workflow.start('globalHold', options);
    const rollout = await push(aPlan({ stages: [stageOf('production', delivered)] }), 'held');
    await when(rollout, 'to be held', ({ reason }) =>
      /held by somebody without Landfall's key: it has no seal/.test(reason ?? ''),
    );
    await hold.terminate();
    await say(rollout, 'abort', { by: 'ann' });
    await result(rollout);
  });

  it('does not tell an operator anything that is believed', async () => {
    const plan = aPlan();
    const image = imageOf(plan, 'lied about');
    const worker = await startStrangerWorker(temporal);
    try {
      const options = { ...rolloutStartOptions({ plan, image, push: pushOf(image) }), taskQueue: strangerQueue };
      const { workflowId } = await temporal.client.workflow.start('rollout', options);
      await assert.rejects(readRollout(temporal.client, workflowId), { name: 'Refused', message: notSealed });
    } finally {
      await worker.stop();
    }
  });

  it('reads everything in Temporal, as operators do there', async () => {
    await workNoted();
    const plan = aPlan();
    const rollout = await push(plan, 'read');
    const state = await result(rollout);
    const { metadata, data } = await startOf(rollout);
    assert.equal(Buffer.from(metadata?.encoding ?? []).toString(), 'json/plain');
    assert.deepEqual(JSON.parse(Buffer.from(data ?? []).toString()).plan, plan);
    assert.match(Buffer.from(metadata?.['landfall-for'] ?? []).toString(), /^\{"for":"start rollout","at":\d+\}$/);
    assert.ok(!JSON.stringify(await rollout.fetchHistory()).includes(testKey));
    assert.deepEqual(await stranger().client.workflow.getHandle(rollout.workflowId).result(), state);
  });

  it('is not told from a worker that has another key, which takes nothing, says why, and loses nothing', async () => {
    await stopWorkers();
    const plan = aPlan();
    const other = 'another-key-that-somebody-gave-to-this-worker';
    const { connection } = temporal.client;
    const sealing: Sealing = { keys: [other, testKey] };
    const client = sealedClient({ connection, namespace: temporal.namespace, sealing });
    const fakes = fakeActivities(client, new Map());
    const wrong = await startWorkers(temporal, fakes, { sealing: { keys: [other] } });
    const rollout = await push(plan, 'another key');
    const failed = await eventually('the task to fail', async () =>
      (await eventsOf(rollout)).find((event) => event.workflowTaskFailedEventAttributes),
    );
    await wrong.stop();
    const said = failed.workflowTaskFailedEventAttributes?.failure?.message ?? '';
    assert.match(
      said,
      /the start of rollout is not sealed .*: its seal is of another key \([0-9a-f]{8}; known here: [0-9a-f]{8}\)/,
    );
    // Once everything knows both: the way to change a key.
    const both = await startWorkers(temporal, fakes, { sealing });
    const state: RolloutState = await client.workflow.getHandle(rollout.workflowId).result();
    assert.equal(state.status, 'proposed');
    await both.stop();
  });
});
