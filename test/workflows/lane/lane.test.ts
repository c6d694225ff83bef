import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../../src/contracts/activities/index.ts';
import { laneQuery, stateQuery } from '../../../src/contracts/messages.ts';
import {
  laneId,
  resolveId,
  resolveStartOptions,
  rolloutId,
  rolloutStartOptions,
  taskQueues,
} from '../../../src/contracts/start-options.ts';
import type { Tag } from '../../../src/domain/image-reference.ts';
import type { Plan } from '../../../src/domain/plan.ts';
import type { RolloutState } from '../../../src/domain/rollout-state.ts';
import { passes } from '../../support/fake-activities.ts';
import { digestOf, imageOf, pushOf } from '../../support/plans.ts';
import { eventually } from '../../support/wait.ts';
import { workflowTests } from '../../support/workflow-tests.ts';

/** A door that activities wait at until the test opens it. */
function door(): { open(): void; opened: Promise<void> } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open: () => open(), opened };
}

describe('a lane', function () {
  this.timeout(60_000);
  const { temporal, tags, activities: usual, work, stopWorkers, start, result, until, ...tests } = workflowTests('lane');
  let count = 0;
  const aPlan = (overrides: Partial<Plan> = {}): Plan =>
    tests.aPlan({ repository: `registry.example.test/team/lane-${++count}` as Plan['repository'], ...overrides });
  /** What a push does to the registry, and what its webhook does to us. */
  const push = (plan: Plan, word: string, tag = 'latest'): void => void tags.set(`${plan.repository}:${tag}`, digestOf(word));
  const webhook = (plan: Plan, word: string, tag = 'latest'): Promise<WorkflowHandle> => start(plan, word, { tag });
  const untilBlocked = (handle: WorkflowHandle): Promise<RolloutState> => until(handle, 'blocked');
  const refuse = (): never => {
    throw ApplicationFailure.create({ type: 'ScanRejected', message: 'no', nonRetryable: true });
  };
  /** Who proposed what, in order, and never two at once for one service. */
  const proposals = (): { words: string[]; propose: Activities['propose'] } => {
    const words: string[] = [];
    let busy = 0;
    const propose: Activities['propose'] = async (input) => {
      busy += 1;
      assert.equal(busy, 1, 'two rollouts of one service were in one stage at once');
      await new Promise((resolve) => setImmediate(resolve));
      words.push(input.image.digest);
      busy -= 1;
      return usual().propose(input);
    };
    return { words, propose };
  };
  const quiet = async (plan: Plan): Promise<true> => {
    const lane = temporal.client.workflow.getHandle(laneId(plan.service));
    await eventually('the lane to start', () =>
      lane.describe().then(
        () => true,
        () => false,
      ),
    );
    return await eventually('every workflow of the service to end', async () => {
      const query = `(LandfallService = '${plan.service}' OR WorkflowId = '${resolveId(plan.service)}') AND ExecutionStatus = 'Running'`;
      if ((await temporal.client.workflow.count(query)).count > 0) return false;
      return Object.keys((await lane.query(laneQuery)).members).length === 0;
    });
  };

  it('lets a newer verified push supersede an older rollout that is blocked in its checks', async () => {
    await work({ 'check:scan': async (input) => (input.image.digest === digestOf('old') ? refuse() : passes()) });
    const plan = aPlan();
    push(plan, 'old');
    const older = await webhook(plan, 'old');
    await untilBlocked(older);
    push(plan, 'new');
    const newer = await webhook(plan, 'new');
    assert.equal((await result(newer)).status, 'proposed');
    const state = await result(older);
    assert.equal(state.status, 'superseded');
    assert.match(state.reason ?? '', new RegExp(newer.workflowId));
  });

  it('lets one that waits in a stage go only when the newer one asks for that stage', async () => {
    const { words, propose } = proposals();
    await work({ propose: async (input) => (input.image.digest === digestOf('old') ? refuse() : propose(input)) });
    const plan = aPlan();
    push(plan, 'old');
    const older = await webhook(plan, 'old');
    await untilBlocked(older);
    push(plan, 'new');
    const newer = await webhook(plan, 'new');
    assert.equal((await result(newer)).status, 'proposed');
    assert.equal((await result(older)).status, 'superseded');
    assert.deepEqual(words, [digestOf('new')]);
  });

  it('starts what the registry says when the tag has moved on, whichever webhook was lost', async () => {
    const { words, propose } = proposals();
    await work({ propose });
    const plan = aPlan();
    push(plan, 'second');
    const stale = await webhook(plan, 'first');
    assert.equal((await result(stale)).status, 'superseded');
    const current = temporal.client.workflow.getHandle(rolloutId(plan.service, imageOf(plan, 'second')));
    await eventually('the current image to be proposed', async () => words.includes(digestOf('second')));
    assert.equal((await result(current)).status, 'proposed');
  });

  it('ends with what the registry says after A, B, A in any order, repeated and late', async () => {
    const { words, propose } = proposals();
    await work({ propose });
    const orders = [
      ['A', 'B', 'A'],
      ['A', 'A', 'B'],
      ['B', 'A', 'A'],
      ['B', 'B', 'A', 'A', 'B'],
    ];
    for (const order of orders) {
      const plan = aPlan();
      words.length = 0;
      push(plan, 'A');
      await webhook(plan, 'A');
      push(plan, 'B');
      await webhook(plan, order[0] ?? 'A');
      push(plan, 'A');
      await Promise.all(order.map((word) => webhook(plan, word)));
      await quiet(plan);
      assert.equal(words.at(-1), digestOf('A'), `order ${order}: ${words.length} proposals`);
    }
  });

  it('takes an image up again that came back while its first rollout was still under way', async () => {
    const first = door();
    const { words, propose } = proposals();
    await work({
      propose,
      'check:scan': async (input) => {
        if (input.image.digest === digestOf('A')) await first.opened;
        return passes();
      },
    });
    const plan = aPlan();
    push(plan, 'A');
    const a = await webhook(plan, 'A');
    await eventually('A to be verified', async () => {
      const { steps } = await a.query(stateQuery);
      return steps[0]?.status === 'passed';
    });
    push(plan, 'B');
    await result(await webhook(plan, 'B'));
    push(plan, 'A');
    await webhook(plan, 'A');
    first.open();
    await quiet(plan);
    assert.equal(words.at(-1), digestOf('A'));
  });

  it('never goes back to a lesser version by itself', async () => {
    const { words, propose } = proposals();
    await work({ propose });
    const plan = aPlan({ tags: { kind: 'semver', range: '>=1' } });
    push(plan, 'new', '1.10.0');
    push(plan, 'old', '1.9.0');
    assert.equal((await result(await webhook(plan, 'new', '1.10.0'))).status, 'proposed');
    assert.equal((await result(await webhook(plan, 'old', '1.9.0'))).status, 'superseded');
    await quiet(plan);
    assert.deepEqual(words, [digestOf('new')]);
  });

  it('ends the same digest under a second followed tag as unchanged', async () => {
    const { words, propose } = proposals();
    await work({ propose });
    const plan = aPlan({ tags: { kind: 'exact', tags: ['latest', 'stable'] as Tag[] } });
    push(plan, 'one', 'latest');
    push(plan, 'one', 'stable');
    await result(await webhook(plan, 'one', 'latest'));
    assert.equal((await result(await webhook(plan, 'one', 'stable'))).status, 'unchanged');
    assert.equal(words.length, 1);
  });

  it('ends the second as unchanged too when both tags are pushed together', async () => {
    const first = door();
    const { words, propose } = proposals();
    await work({
      propose: async (input) => {
        await first.opened;
        return propose(input);
      },
    });
    const plan = aPlan({ tags: { kind: 'exact', tags: ['latest', 'stable'] as Tag[] } });
    push(plan, 'one', 'latest');
    push(plan, 'one', 'stable');
    const both = await Promise.all([webhook(plan, 'one', 'latest'), webhook(plan, 'one', 'stable')]);
    await eventually('one of them to wait for its turn', async () => {
      const states = await Promise.all(both.map((handle) => handle.query(stateQuery)));
      return states.some(({ status }) => status === 'waiting');
    });
    first.open();
    const ends = await Promise.all(both.map(async (handle) => (await result(handle)).status));
    assert.deepEqual(ends.sort(), ['proposed', 'unchanged']);
    assert.equal(words.length, 1);
  });

  it('that was terminated is begun anew, and the rollouts under way introduce themselves again', async () => {
    const checks = door();
    await work({
      'check:scan': async () => {
        await checks.opened;
        return passes();
      },
    });
    const plan = aPlan();
    push(plan, 'orphan');
    const handle = await webhook(plan, 'orphan');
    await eventually('it to be verified', async () => (await handle.query(stateQuery)).steps[0]?.status === 'passed');
    await temporal.client.workflow.getHandle(laneId(plan.service)).terminate('by a test');
    checks.open();
    assert.equal((await result(handle)).status, 'proposed');
    const memory = await temporal.client.workflow.getHandle(laneId(plan.service)).query(laneQuery);
    assert.equal(memory.newest.latest, digestOf('orphan'));
  });

  it('does not spin when the registry answers one way and the other', async () => {
    let verifies = 0;
    await work({
      verify: async () => {
        verifies += 1;
        return { kind: 'moved', digest: digestOf('elsewhere') };
      },
    });
    const plan = aPlan();
    push(plan, 'contradicted');
    await result(await webhook(plan, 'contradicted'));
    await eventually('the look-up to begin its pause', async () => {
      const { raw } = await temporal.client.workflow.getHandle(resolveId(plan.service)).describe();
      const history = await temporal.client.workflow.getHandle(resolveId(plan.service)).fetchHistory();
      return (
        raw.pendingActivities?.length === 0 &&
        history.events?.some(({ timerStartedEventAttributes }) => timerStartedEventAttributes)
      );
    });
    assert.equal(verifies, 1);
  });

  it('gives the turn to the next when the rollout that held it was terminated', async () => {
    const { words, propose } = proposals();
    await work({ propose: async (input) => (input.image.digest === digestOf('dead') ? refuse() : propose(input)) });
    const plan = aPlan({ tags: { kind: 'semver', range: '*' } });
    push(plan, 'dead', '1.0.1');
    push(plan, 'alive', '1.0.0');
    const dead = await webhook(plan, 'dead', '1.0.1');
    await untilBlocked(dead);
    await dead.terminate('by a test');
    const image = imageOf(plan, 'alive', '1.0.0');
    const alive = await temporal.client.workflow.start(
      'rollout',
      rolloutStartOptions({ plan, image, push: pushOf(image), manual: true }),
    );
    assert.equal((await result(alive)).status, 'proposed');
    assert.deepEqual(words, [digestOf('alive')]);
  });

  it('continues as new with its memory as it was', async () => {
    await work();
    const plan = aPlan();
    const start = { service: plan.service, longestHistory: 30 };
    const lane = await temporal.client.workflow.start('lane', {
      workflowId: laneId(plan.service),
      taskQueue: taskQueues.lanes,
      args: [start],
    });
    const firstRun = (await lane.describe()).runId;
    for (const word of ['1', '2', '3', '4', '5', '6']) {
      push(plan, word);
      assert.equal((await result(await webhook(plan, word))).status, 'proposed');
    }
    const latest = temporal.client.workflow.getHandle(laneId(plan.service));
    await eventually('the lane to continue as new', async () => (await latest.describe()).runId !== firstRun);
    const memory = await latest.query(laneQuery);
    assert.equal(Object.keys(memory.verdicts).length, 6);
    assert.equal(memory.newest.latest, digestOf('6'));
    assert.equal((await result(await webhook(plan, '6'))).status, 'unchanged');
  });

  it('gives one stage to one rollout at a time, and the last of ten pushes wins', async () => {
    const { words, propose } = proposals();
    await work({ propose });
    const plan = aPlan();
    const numbers = Array.from({ length: 10 }, (_, index) => `${index}`);
    const handles = [];
    for (const word of numbers) {
      push(plan, word);
      handles.push(await webhook(plan, word));
    }
    await quiet(plan);
    assert.equal(words.at(-1), digestOf('9'));
    for (const handle of handles.slice(0, -1)) assert.ok(['superseded', 'proposed'].includes((await result(handle)).status));
    const last = temporal.client.workflow.getHandle(rolloutId(plan.service, imageOf(plan, '9')));
    assert.match((await last.result()).status, /^(proposed|unchanged)$/);
  });

  it('looks a push without a digest up, once for many at the same time', async () => {
    let looks = 0;
    await work({
      resolveTags: async (input) => {
        looks += 1;
        return usual().resolveTags(input);
      },
    });
    const plan = aPlan();
    push(plan, 'named');
    const { digest: _, ...withoutDigest } = pushOf(imageOf(plan, 'named'));
    await stopWorkers();
    const asking = Array.from({ length: 20 }, () =>
      temporal.client.workflow.signalWithStart('resolve', resolveStartOptions({ plan, push: withoutDigest })),
    );
    await Promise.all(asking);
    await work({
      resolveTags: async (input) => {
        looks += 1;
        return usual().resolveTags(input);
      },
    });
    const started: string[] = await temporal.client.workflow.getHandle(resolveId(plan.service)).result();
    assert.deepEqual(started, [rolloutId(plan.service, imageOf(plan, 'named'))]);
    assert.equal(looks, 1);
    assert.equal((await temporal.client.workflow.getHandle(started[0] ?? '').result()).status, 'proposed');
  });
});
