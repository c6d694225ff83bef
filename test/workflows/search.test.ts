import assert from 'node:assert/strict';
import { ScheduleOverlapPolicy } from '@temporalio/client';
import type { SearchInput } from '../../src/contracts/activities/pushes.ts';
import { searchAction, searchId, taskQueues } from '../../src/contracts/start-options.ts';
import type { Repository } from '../../src/domain/image-reference.ts';
import type { SearchMemory, SearchOutcome, SearchStart } from '../../src/domain/search.ts';
import { fakeActivities } from '../support/fake-activities.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { startWorkers, type TestWorkers } from '../support/worker.ts';

/** A memory that says its number. */
function memoryNumber(number: number): SearchMemory {
  return { services: [{ service: `memory-${number}`, follows: 'x', tags: [] }] };
}

describe('the search of a registry', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  const calls: { input: SearchInput; at: number }[] = [];
  const hanging: (() => void)[] = [];
  let searched: string | undefined;
  let answer: (input: SearchInput, call: number) => Promise<SearchOutcome>;
  const remember = async (memory: SearchMemory): Promise<SearchOutcome> => ({ memory, found: [], failed: [] });

  const hang = async (): Promise<SearchOutcome> => {
    await new Promise<void>((release) => hanging.push(release));
    return await remember(memoryNumber(0));
  };

  before(async () => {
    temporal = await startNamespace();
    const searchRegistry = (input: SearchInput) => {
      // A last run of an earlier test's schedule.
      if (input.registry !== searched) return remember(memoryNumber(0));
      calls.push({ input, at: Date.now() });
      return answer(input, calls.length);
    };
    // One run with the cache off, so that each step is replayed.
    workers = await startWorkers(temporal, fakeActivities(temporal.client, new Map(), { searchRegistry }), {
      maxCachedWorkflows: 0,
    });
  });
  beforeEach(() => void calls.splice(0));
  after(async () => {
    for (const release of hanging) release();
    await workers.stop();
    await temporal.stop();
  });

  /** Runs of a schedule of its own, until the work is done. */
  async function scheduled(registry: string, everyMs: number, work: () => Promise<void>): Promise<void> {
    searched = registry;
    const start: SearchStart = { registry, everyMs };
    const schedule = await temporal.client.schedule.create({
      scheduleId: searchId(registry),
      spec: { intervals: [{ every: 1_000 }] },
      policies: { overlap: ScheduleOverlapPolicy.SKIP },
      action: searchAction(start),
    });
    try {
      await work();
    } finally {
      await schedule.delete();
    }
  }

  const runOnce = async (registry: string, everyMs: number) => {
    searched = registry;
    return await temporal.client.workflow.execute('search', {
      workflowId: `once:${registry}`,
      taskQueue: taskQueues.main,
      args: [{ registry, everyMs }],
    });
  };

  it('gets from the run before what that remembered, run after run', async () => {
    answer = (_input, call) => remember(memoryNumber(call));
    await scheduled('one.test', 1_000, () => eventually('four runs', async () => calls.length >= 4).then(() => undefined));
    const known = calls.slice(0, 4).map(({ input }) => input.known.services.map(({ service }) => service));
    assert.deepEqual(known, [[], ['memory-1'], ['memory-2'], ['memory-3']]);
  });

  it('keeps what it knew through runs that fail or are ended', async () => {
    answer = (_input, call) => (call === 1 ? remember(memoryNumber(1)) : hang());
    await scheduled('two.test', 1_000, async () => {
      await eventually('the second run to hang', async () => calls.length === 2);
      answer = (_input, call) => remember(memoryNumber(call));
      for await (const run of temporal.client.workflow.list({
        query: `WorkflowType = 'search' AND ExecutionStatus = 'Running'`,
      })) {
        await temporal.client.workflow.getHandle(run.workflowId, run.runId).terminate();
      }
      await eventually('a third run', async () => calls.length >= 3);
    });
    assert.deepEqual(calls[2]?.input.known, memoryNumber(1));
  });

  it('is not begun a second time while it is under way', async () => {
    let running = 0;
    let most = 0;
    answer = async (_input, call) => {
      most = Math.max(most, ++running);
      await new Promise((done) => setTimeout(done, 1_500));
      running -= 1;
      return await remember(memoryNumber(call));
    };
    await scheduled('three.test', 1_000, () => eventually('three runs', async () => calls.length >= 3).then(() => undefined));
    assert.equal(most, 1);
  });

  it('sleeps until a limit is over and goes on with what it learned', async () => {
    const until = new Date(Date.now() + 2_000).toISOString();
    const limited = { ...memoryNumber(1), limitedUntil: until, resumeAt: 'four.test/app' as Repository };
    answer = (_input, call) => remember(call === 1 ? limited : memoryNumber(2));
    assert.deepEqual(await runOnce('four.test', 60_000), memoryNumber(2));
    const { limitedUntil: _, ...learned } = limited;
    assert.deepEqual(calls[1]?.input.known, learned);
    assert.ok((calls[1]?.at ?? 0) >= Date.parse(until), 'asked before the limit was over');
  });

  it('leaves a limit that is longer than its interval to the runs after it, which ask nothing until then', async () => {
    const until = new Date(Date.now() + 4_500).toISOString();
    answer = (_input, call) => remember(call === 1 ? { ...memoryNumber(1), limitedUntil: until } : memoryNumber(2));
    await scheduled('five.test', 1_000, async () => {
      await eventually('a second search', async () => calls.length >= 2);
      const { info } = await temporal.client.schedule.getHandle(searchId('five.test')).describe();
      assert.ok(info.numActionsTaken >= 4, `only ${info.numActionsTaken} runs, so one of them slept beyond its interval`);
    });
    assert.ok((calls[1]?.at ?? 0) >= Date.parse(until), 'asked before the limit was over');
    assert.deepEqual(calls[1]?.input.known, memoryNumber(1));
  });

  it('stops asking a registry that limits every request', async () => {
    answer = () => remember({ ...memoryNumber(1), limitedUntil: new Date(Date.now() + 100).toISOString() });
    await runOnce('six.test', 60_000);
    assert.equal(calls.length, 5);
  });

  it('costs few events of history, and little room with five hundred services', async () => {
    const services = Array.from({ length: 500 }, (_, index) => ({
      service: `some-service-${index}`,
      follows: '1abcdef',
      tags: [['latest', 'A'.repeat(43)]],
    }));
    answer = () => remember({ services } as unknown as SearchMemory);
    await runOnce('seven.test', 60_000);
    const { events } = await temporal.client.workflow.getHandle('once:seven.test').fetchHistory();
    assert.ok((events?.length ?? 0) <= 11, `${events?.length} events`);
    assert.ok(JSON.stringify(services).length < 60 * 1024, `${JSON.stringify(services).length} bytes`);
  });

  it('begins anew where it does not understand what an earlier version remembered', async () => {
    answer = () => remember('something else' as unknown as SearchMemory);
    await scheduled('eight.test', 1_000, () => eventually('two runs', async () => calls.length >= 2).then(() => undefined));
    assert.deepEqual(calls[1]?.input.known, { services: [] });
  });
});
