import assert from 'node:assert/strict';
import { mergeQueueQuery } from '../../src/contracts/messages.ts';
import { mergeQueueId, mergeQueueStartOptions } from '../../src/contracts/start-options.ts';
import type { RolloutRun } from '../../src/domain/lane/state.ts';
import { callAs, laneActivities, standIn, startStandIns, untilHeard } from '../support/stand-ins.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import type { TestWorkers } from '../support/worker.ts';

const itsTurn = /^its turn to merge has come$/;

describe('a merge queue', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  before(async () => {
    temporal = await startNamespace();
    workers = await startStandIns(temporal);
  });
  after(async () => {
    await workers.stop();
    await temporal.stop();
  });

  let count = 0;
  const base = 'main';
  /** A deployment repository, and rollouts that merge into it. */
  const aRepository = () => {
    const repository = `team/deployment-${++count}`;
    const act = laneActivities(temporal);
    return {
      queue: temporal.client.workflow.getHandle(mergeQueueId(repository, base)),
      begin: (settings: object) =>
        temporal.client.workflow.start('mergeQueue', { ...mergeQueueStartOptions(repository, base), args: [settings] }),
      come: (name: string) => standIn(temporal, `rollout:${repository}:${name}`),
      take: ({ rollout, runId }: RolloutRun, into = base) =>
        callAs({ rollout, runId }, act.requestMergeTurn, { rollout, runId, repository, base: into }),
      giveBack: ({ rollout, runId }: RolloutRun) =>
        callAs({ rollout, runId }, act.releaseMergeTurn, { rollout, runId, repository, base }),
    };
  };

  it('lets one merge after the other, and calls the next', async () => {
    const { come, take, giveBack } = aRepository();
    const [a, b, c] = [await come('a'), await come('b'), await come('c')];
    assert.deepEqual(await take(a), { kind: 'granted' });
    assert.deepEqual(await take(a), { kind: 'granted' }, 'asked again after a crash');
    assert.deepEqual(await take(b), { kind: 'waiting', behind: a.rollout });
    assert.deepEqual(await take(c), { kind: 'waiting', behind: a.rollout });
    await giveBack(a);
    await untilHeard(b.handle, itsTurn);
    assert.deepEqual(await take(b), { kind: 'granted' });
    assert.deepEqual(await take(c), { kind: 'waiting', behind: b.rollout });
    await giveBack(b);
    await giveBack(b);
    await untilHeard(c.handle, itsTurn);
  });

  it('keeps other base branches out of it', async () => {
    const { come, take } = aRepository();
    const [a, b] = [await come('a'), await come('b')];
    assert.equal((await take(a)).kind, 'granted');
    assert.equal((await take(b, 'release')).kind, 'granted');
  });

  it('is not held up by a rollout that was terminated, whether it merged or waited', async () => {
    const { begin, come, take } = aRepository();
    await begin({ checkEveryMs: 200 });
    const [a, b, c] = [await come('a'), await come('b'), await come('c')];
    await take(a);
    await take(b);
    await take(c);
    await b.handle.terminate('by a test');
    await a.handle.terminate('by a test');
    await untilHeard(c.handle, itsTurn);
    assert.deepEqual(await take(c), { kind: 'granted' });
  });

  it('passes the turn on when the next in line is gone before it can be called', async () => {
    const { come, take, giveBack } = aRepository();
    const [a, b, c] = [await come('a'), await come('b'), await come('c')];
    await take(a);
    await take(b);
    await take(c);
    await b.handle.terminate('by a test');
    await giveBack(a);
    await untilHeard(c.handle, itsTurn);
  });

  it('continues as new with everybody in line', async () => {
    const { queue, begin, come, take, giveBack } = aRepository();
    await begin({ longestHistory: 30 });
    const firstRun = (await queue.describe()).runId;
    const [a, b, c] = [await come('a'), await come('b'), await come('c')];
    await take(a);
    await take(b);
    await eventually('the queue to continue as new', async () => {
      assert.deepEqual(await take(c), { kind: 'waiting', behind: a.rollout });
      return (await queue.describe()).runId !== firstRun;
    });
    assert.deepEqual(
      (await queue.query(mergeQueueQuery)).waiting.map(({ rollout }) => rollout),
      [b.rollout, c.rollout],
    );
    await giveBack(a);
    await untilHeard(b.handle, itsTurn);
  });
});
