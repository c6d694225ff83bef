import assert from 'node:assert/strict';
import { type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../../src/contracts/activities/index.ts';
import {
  holdUpdate,
  laneQuery,
  pinUpdate,
  promoteUpdate,
  quarantineUpdate,
  type RollbackStart,
  type RolloutStart,
  releaseUpdate,
  rollbackUpdate,
  unquarantineUpdate,
} from '../../../src/contracts/messages.ts';
import { laneId, laneStartOptions } from '../../../src/contracts/start-options.ts';
import type { Tag } from '../../../src/domain/image-reference.ts';
import type { LaneState, RolloutRun } from '../../../src/domain/lane/state.ts';
import type { WindowPlan } from '../../../src/domain/plan.ts';
import { exact, runningOf, stage } from '../../support/lane-moves.ts';
import { digestOf } from '../../support/plans.ts';
import { endSignal, heardQuery, inputQuery } from '../../support/stand-in-workflows.ts';
import { callAs, laneActivities, standIn, startStandIns, untilHeard } from '../../support/stand-ins.ts';
import { startNamespace, type TestNamespace } from '../../support/temporal.ts';
import { eventually } from '../../support/wait.ts';
import type { TestWorkers } from '../../support/worker.ts';
import { terminateAll } from '../../support/workflow-tests.ts';

const tag = 'latest' as Tag;
const never: WindowPlan = { kind: 'deny', timezone: 'UTC', weekly: 'Mon-Sun', reason: 'holidays' };

describe('a lane and its operators', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  let startRollback: Activities['startRollback'];
  before(async () => {
    temporal = await startNamespace();
    workers = await startStandIns(temporal, { startRollback: (start) => startRollback(start) });
  });
  beforeEach(() => {
    startRollback = laneActivities(temporal).startRollback;
  });
  afterEach(() => terminateAll(temporal.client));
  after(async () => {
    await workers.stop();
    await temporal.stop();
  });

  let count = 0;
  /** A service, its lane, and rollouts that do as they are told. */
  const aService = () => {
    const service = `operated-${++count}`;
    const act = laneActivities(temporal);
    const lane = temporal.client.workflow.getHandle(laneId(service));
    const said = { stages: [stage], tag, manual: false };
    const begin = (me: RolloutRun, windows: readonly WindowPlan[] = []) =>
      callAs(me, act.beginChange, { service, request: { ...me, stage, windows } });
    return {
      service,
      lane,
      memory: (): Promise<LaneState> => lane.query(laneQuery),
      async come(word: string) {
        const run = await standIn(temporal, `rollout:${service}:latest:${digestOf(word).slice(7, 19)}`);
        const me = { rollout: run.rollout, runId: run.runId };
        const at = { ...me, ...said, digest: digestOf(word) };
        await callAs(me, act.enterLane, { service, request: at });
        await callAs(me, act.reportVerified, { service, request: { ...at, policy: exact } });
        const turn = await callAs(me, act.requestTurn, { service, request: { ...me, stage, policy: exact } });
        return { ...run, me, turn, word };
      },
      begin,
      async deliver({ me, word, handle }: { me: RolloutRun; word: string; handle: WorkflowHandle }) {
        const answer = await begin(me);
        assert.ok(answer.kind === 'go', JSON.stringify(answer));
        const of = { ...me, tag, digest: digestOf(word), manual: false, stages: [stage], stage };
        const running = runningOf(of, word, answer.before);
        const at = { ...me, stage, running: { ...running, plan: { ...running.plan, service } } };
        await callAs(me, act.reportRunning, { service, request: at });
        await callAs(me, act.releaseTurn, { service, request: { ...me, stage, reached: true } });
        await callAs(me, act.leaveLane, { service, request: { ...me, end: 'delivered', at: new Date().toISOString() } });
        await handle.signal(endSignal);
        await handle.result();
      },
      askBack: (me: RolloutRun, word: string) =>
        callAs(me, act.requestTurn, {
          service,
          request: { ...me, stage, policy: exact, rollback: { tag, digest: digestOf(word) } },
        }),
    };
  };
  const refused = async (update: Promise<unknown>, pattern: RegExp): Promise<void> => {
    const error = await update.then(
      (answer) => assert.fail(`expected a refusal, found ${JSON.stringify(answer)}`),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof WorkflowUpdateFailedError, String(error));
    assert.ok(error.cause instanceof ApplicationFailure, String(error.cause));
    assert.equal(error.cause.type, 'DecisionRefused');
    assert.match(error.cause.message, pattern);
  };

  it('holds a stage, tells its holder when it is released, and marks names as unverified', async () => {
    const { lane, come, begin } = aService();
    const a = await come('a');
    const held = await lane.executeUpdate(holdUpdate, { args: [{ stage, by: 'ann', reason: 'audit' }] });
    assert.equal(held.stages[stage]?.hold?.by, 'ann (unverified)');
    assert.deepEqual(await begin(a.me), { kind: 'wait', reason: 'production is held by ann (unverified): audit' });
    await lane.executeUpdate(releaseUpdate, { args: [{ stage, by: 'bob' }] });
    await untilHeard(a.handle, /^production was released by bob \(unverified\)$/);
    assert.equal((await begin(a.me)).kind, 'go');
  });

  it('holds the whole service, by whoever says nothing about themselves', async () => {
    const { lane, come, begin } = aService();
    const a = await come('a');
    assert.match(
      (await lane.executeUpdate<LaneState, []>('hold')).hold?.by ?? '',
      /^somebody with Temporal access \(unverified\)$/,
    );
    assert.equal((await begin(a.me)).kind, 'wait');
    await lane.executeUpdate('release');
    assert.equal((await begin(a.me)).kind, 'go');
  });

  it('lets nobody begin outside of the windows, but goes on with who has begun', async () => {
    const { come, begin } = aService();
    const a = await come('a');
    const answer = await begin(a.me, [never]);
    assert.ok(answer.kind === 'wait', JSON.stringify(answer));
    assert.match(answer.reason, /holidays/);
    assert.equal((await begin(a.me)).kind, 'go');
    assert.equal((await begin(a.me, [never])).kind, 'go');
  });

  it('tells rollouts of a pin and of a quarantine that concern them', async () => {
    const { lane, come, begin } = aService();
    const a = await come('a');
    await lane.executeUpdate(pinUpdate, { args: [{ stage, digest: digestOf('other'), by: 'ann', reason: 'release day' }] });
    await untilHeard(a.handle, /^production was pinned to sha256:/);
    const answer = await begin(a.me);
    assert.ok(answer.kind === 'wait');
    assert.match(answer.reason, /pinned to sha256:\w+ by ann \(unverified\): release day$/);
    await lane.executeUpdate(quarantineUpdate, { args: [{ digest: digestOf('a'), by: 'ann', reason: 'leaks' }] });
    await untilHeard(a.handle, /was put in quarantine by ann/);
    assert.deepEqual(await begin(a.me), { kind: 'quarantined', reason: 'leaks' });
    await lane.executeUpdate(unquarantineUpdate, { args: [{ digest: digestOf('a') }] });
    await untilHeard(a.handle, /was taken out of quarantine/);
    assert.equal((await begin(a.me)).kind, 'wait', 'the pin is still there');
  });

  it('refuses at once, with what was expected, and leaves no trace of it', async () => {
    const { lane, come, memory } = aService();
    await come('a');
    const before = await memory();
    await refused(lane.executeUpdate(holdUpdate, { args: [{ stage: 'prod' }] }), /expected one of production/);
    await refused(lane.executeUpdate(releaseUpdate, { args: [{ stage }] }), /neither held nor pinned/);
    await refused(lane.executeUpdate('pin'), /which stage\? Expected \{"stage": "\.\.\."\}/);
    await refused(lane.executeUpdate('pin', { args: [{ stage, digest: 7 }] }), /which digest\?/);
    await refused(lane.executeUpdate(quarantineUpdate, { args: [{ digest: 'latest' }] }), /expected sha256: and 64 hex digits/);
    await refused(lane.executeUpdate(unquarantineUpdate, { args: [{ digest: digestOf('a') }] }), /None is known yet/);
    await refused(lane.executeUpdate(rollbackUpdate, { args: [{ stage }] }), /knows nothing that it brought to production/);
    await refused(lane.executeUpdate(promoteUpdate, { args: [{ stage, digest: digestOf('a') }] }), /None is known yet/);
    assert.deepEqual(await memory(), before);
  });

  it('never tells a rollout that has begun that it is superseded', async () => {
    const { come, begin } = aService();
    const a = await come('a');
    assert.equal((await begin(a.me)).kind, 'go');
    const b = await come('b');
    assert.deepEqual(b.turn, { kind: 'waiting', behind: a.rollout });
    const c = await come('c');
    await untilHeard(b.handle, /^superseded by \S+ in production$/);
    assert.equal(c.turn.kind, 'waiting');
    assert.deepEqual(await a.handle.query(heardQuery), []);
  });

  it('starts a rollback, which goes before everybody who has not begun', async () => {
    const { service, lane, come, deliver, begin, askBack, memory } = aService();
    await deliver(await come('a'));
    await deliver(await come('b'));
    const waiting = await come('c');
    await lane.executeUpdate(holdUpdate, { args: [{}] });
    const { workflow } = await lane.executeUpdate(rollbackUpdate, { args: [{ stage, by: 'ann', reason: 'too slow' }] });
    assert.equal(workflow, `rollback:${service}:production:1`);
    const handle = temporal.client.workflow.getHandle(workflow);
    const started = await eventually('the rollback to start', () => handle.describe().catch(() => undefined));
    const input = (await handle.query(inputQuery)) as RollbackStart;
    assert.equal(input.running.digest, digestOf('b'));
    assert.equal(input.running.before.image?.digest, digestOf('a'));
    assert.deepEqual([input.service, input.stage, input.by, input.reason], [service, stage, 'ann (unverified)', 'too slow']);
    const me = { rollout: workflow, runId: started.runId };
    assert.deepEqual(await askBack(me, 'b'), { kind: 'waiting', behind: waiting.rollout });
    await untilHeard(waiting.handle, new RegExp(`^superseded by ${workflow} in production$`));
    await refused(lane.executeUpdate(rollbackUpdate, { args: [{ stage }] }), /is being rolled back already, by rollback:/);
    const act = laneActivities(temporal);
    await callAs(waiting.me, act.leaveLane, {
      service,
      request: { ...waiting.me, end: 'superseded', at: new Date().toISOString() },
    });
    await untilHeard(handle, /^granted production$/);
    assert.equal((await begin(me, [never])).kind, 'go', 'neither hold nor windows stop a rollback');
    const undone = { digest: digestOf('b'), reason: 'too slow', by: 'ann', at: new Date().toISOString() };
    await callAs(me, act.reportRolledBack, { service, request: { ...me, stage, ...undone } });
    const { stages, quarantine } = await memory();
    assert.equal(stages[stage]?.running?.digest, digestOf('a'));
    assert.equal(quarantine[digestOf('b')]?.reason, 'too slow');
  });

  it('brings an earlier digest back to a stage, as a rollout of that stage alone', async () => {
    const { service, lane, come, deliver } = aService();
    await deliver(await come('a'));
    await deliver(await come('b'));
    const digest = digestOf('a');
    const { workflow, at } = await lane.executeUpdate(promoteUpdate, {
      args: [{ stage, digest: digest.slice(7, 19), by: 'ann', reason: 'b is slow' }],
    });
    const handle = temporal.client.workflow.getHandle(workflow);
    await eventually('the rollout to start anew', async () => (await handle.describe()).status.name === 'RUNNING');
    const input = (await handle.query(inputQuery)) as RolloutStart;
    assert.equal(workflow, `rollout:${service}:latest:${digest.slice(7, 19)}`);
    // The rollout that brought it here at first had the same id.
    assert.ok(at !== undefined && at <= input.push.receivedAt && Date.parse(at) <= (await handle.describe()).startTime.getTime());
    assert.deepEqual(
      [input.image.digest, input.manual, input.promotion],
      [digest, true, { by: 'ann (unverified)', reason: 'b is slow' }],
    );
    // A name that nothing proves is no actor: whoever may not approve their own pushes could type another one.
    assert.deepEqual(
      [input.push.source, input.push.actor, input.push.trigger],
      ['operator', undefined, { by: 'ann (unverified)' }],
    );
    assert.deepEqual(
      input.plan.stages.map(({ name }) => name),
      [stage],
    );
  });

  it('brings nothing back whose rollout is still under way', async () => {
    const { lane, come, deliver } = aService();
    await deliver(await come('a'));
    await deliver(await come('b'));
    await come('a');
    const update = lane.executeUpdate(promoteUpdate, { args: [{ stage, digest: digestOf('a') }] });
    await refused(update, /^rollout:\S+ is under way: wait until it has ended, or abort it/);
  });

  it('starts what it was asked for once, however often it has to try, and although it continues as new meanwhile', async () => {
    let tries = 0;
    const starts = startRollback;
    startRollback = async (start) => {
      tries += 1;
      if (tries < 3) throw new Error('Temporal is away');
      await starts(start);
    };
    const { service, lane, come, deliver } = aService();
    await temporal.client.workflow.start('lane', { ...laneStartOptions(service), args: [{ service, longestHistory: 50 }] });
    await deliver(await come('a'));
    await deliver(await come('b'));
    const { workflow } = await lane.executeUpdate(rollbackUpdate, { args: [{ stage }] });
    const firstRun = (await lane.describe()).runId;
    await eventually('the lane to continue as new', async () => {
      await lane.executeUpdate<LaneState, []>('hold');
      return (await lane.describe()).runId !== firstRun;
    });
    const handle = temporal.client.workflow.getHandle(workflow);
    const { runId } = await eventually('the rollback to start', () => handle.describe().catch(() => undefined));
    await handle.signal(endSignal);
    await eventually('the lane to be done with it', async () => tries >= 3);
    assert.equal((await handle.describe()).runId, runId);
  });

  it('goes on with what a lane of before handed on', async () => {
    const { service, come, begin } = aService();
    const state = {
      clock: 7,
      newest: {},
      verdicts: {},
      quarantine: {},
      members: {},
      stages: { [stage]: { turn: 7, waiters: [] } },
    };
    await temporal.client.workflow.start('lane', { ...laneStartOptions(service), args: [{ service, state }] });
    const a = await come('a');
    assert.deepEqual(await begin(a.me), { kind: 'go', turn: 9 });
  });

  it('gives turns that rise, also when it was terminated and begins anew', async () => {
    const { lane, come } = aService();
    const first = await come('a');
    assert.ok(first.turn.kind === 'granted');
    await lane.terminate('by a test');
    const second = await come('b');
    assert.ok(second.turn.kind === 'granted');
    assert.ok(second.turn.turn > first.turn.turn, `${second.turn.turn} after ${first.turn.turn}`);
  });
});
