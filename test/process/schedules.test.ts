import assert from 'node:assert/strict';
import { type ScheduleDescription, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { SearchInput } from '../../src/contracts/activities/pushes.ts';
import { searchId, taskQueues } from '../../src/contracts/start-options.ts';
import type { SearchMemory, SearchOutcome } from '../../src/domain/search.ts';
import { beginSchedules, ensureSchedules } from '../../src/process/schedules.ts';
import { load } from '../config/support.ts';
import { strangerOf } from '../support/stranger.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { sealedBy, workflowBundle } from '../support/worker.ts';

const services = (...images: string[]) => `services: [${images.map((image) => `{ image: "${image}" }`).join(', ')}]\n`;

describe('the schedules of searches', function () {
  this.timeout(60_000);
  let temporal: TestTemporal;
  let said: string[];

  before(async () => {
    temporal = await startTemporal();
  });
  beforeEach(() => {
    said = [];
  });
  after(() => temporal.stop());

  const ensure = (text: string) =>
    ensureSchedules(temporal.client, load(text), {
      info: ({ schedule }: { schedule?: unknown }, message) => void said.push(`${schedule} ${message}`),
    });

  const describeOf = async (host: string): Promise<ScheduleDescription | undefined> => {
    try {
      return await temporal.client.schedule.getHandle(searchId(host)).describe();
    } catch (error) {
      if (error instanceof ScheduleNotFoundError) return undefined;
      throw error;
    }
  };
  const everyOf = async (host: string) => (await describeOf(host))?.spec.intervals?.[0]?.every;
  const listed = async () => {
    const ids: string[] = [];
    for await (const { scheduleId } of temporal.client.schedule.list()) ids.push(scheduleId);
    return ids.sort();
  };
  const untilListed = (...hosts: string[]) =>
    eventually(`schedules of ${hosts}`, async () => `${await listed()}` === `${hosts.map(searchId).sort()}`);

  it('are one for each registry that a service names a repository of, every five minutes unless said otherwise', async () => {
    await ensure(services('ghcr.io/team/app', 'ghcr.io/team/web', 'nginx', 'quay.io/team/*', 'localhost:5000/local'));
    await untilListed('ghcr.io', 'docker.io', 'localhost:5000');
    const described = await describeOf('ghcr.io');
    assert.equal(described?.spec.intervals?.[0]?.every, 300_000);
    assert.equal(described?.spec.jitter, 30_000);
    assert.deepEqual(described?.policies, {
      overlap: ScheduleOverlapPolicy.SKIP,
      catchupWindow: 300_000,
      pauseOnFailure: false,
    });
    assert.equal(described?.action.workflowType, 'search');
    assert.equal(described?.action.taskQueue, taskQueues.main);
    assert.deepEqual(described?.action.args, [{ registry: 'ghcr.io', everyMs: 300_000 }]);
  });

  it('look for the first time at once', async () => {
    const run = await eventually(
      'a first run',
      async () => (await describeOf('ghcr.io').catch(() => undefined))?.info.recentActions[0],
    );
    assert.match(run.action.workflow.workflowId, /^search:ghcr\.io-/);
  });

  it('stay as they are when it is done again, a pause by an operator included', async () => {
    await temporal.client.schedule.getHandle(searchId('ghcr.io')).pause('the registry is moved');
    const before = await describeOf('ghcr.io');
    await Promise.all([1, 2, 3].map(() => ensure(services('ghcr.io/team/app', 'nginx', 'localhost:5000/local'))));
    const after = await describeOf('ghcr.io');
    assert.deepEqual([after?.info.lastUpdatedAt, after?.state], [before?.info.lastUpdatedAt, before?.state]);
    assert.deepEqual(said, []);
  });

  it('take another interval, and stay paused', async () => {
    const text = 'search: 1m\nregistries: { "ghcr.io": { search: 10s } }\n';
    await ensure(text + services('ghcr.io/team/app', 'nginx', 'localhost:5000/local'));
    assert.deepEqual(
      [await everyOf('ghcr.io'), await everyOf('docker.io'), await everyOf('localhost:5000')],
      [10_000, 60_000, 60_000],
    );
    const described = await describeOf('ghcr.io');
    assert.deepEqual([described?.state.paused, described?.state.note], [true, 'the registry is moved']);
    assert.deepEqual(described?.action.args, [{ registry: 'ghcr.io', everyMs: 10_000 }]);
    assert.equal(said.length, 3);
  });

  it('are sealed anew where somebody without the key has changed them, which an earlier Landfall did not have', async () => {
    const text = `search: 1m\nregistries: { "ghcr.io": { search: 10s } }\n${services('ghcr.io/team/app', 'nginx', 'localhost:5000/local')}`;
    const plain = strangerOf(temporal).client.schedule.getHandle(searchId('ghcr.io'));
    await plain.update(({ state, action, ...schedule }) => ({
      ...schedule,
      state: { paused: state.paused },
      action: { ...action, args: [{ registry: 'elsewhere.example.test', everyMs: 1 }] },
    }));
    await ensure(text);
    assert.deepEqual(said, ['search:ghcr.io a schedule is sealed from now on']);
    const described = await describeOf('ghcr.io');
    assert.deepEqual(described?.action.args, [{ registry: 'ghcr.io', everyMs: 10_000 }]);
    assert.equal(described?.state.paused, true);
    await ensure(text);
    assert.equal(said.length, 1);
  });

  it('end where a registry is followed no more, or its search is off; those of others stay', async () => {
    await temporal.client.schedule.create({
      scheduleId: 'search:of-somebody-else',
      spec: { intervals: [{ every: '1d' }] },
      action: { type: 'startWorkflow', workflowType: 'theirs', taskQueue: 'theirs' },
    });
    await untilListed('ghcr.io', 'docker.io', 'localhost:5000', 'of-somebody-else');
    await ensure(`search: 1m\nregistries: { "docker.io": { search: off } }\n${services('nginx', 'localhost:5000/local')}`);
    await untilListed('localhost:5000', 'of-somebody-else');
    await ensure(`search: off\n${services('nginx', 'localhost:5000/local')}`);
    await untilListed('of-somebody-else');
    await ensure(`search: off\nregistries: { "docker.io": { search: 30s } }\n${services('nginx', 'localhost:5000/local')}`);
    await untilListed('docker.io', 'of-somebody-else');
    assert.equal(await everyOf('docker.io'), 30_000);
  });

  it('made by several workers at once are one for each registry', async () => {
    await Promise.all([1, 2, 3, 4].map(() => ensure(services('registry.example.org/app'))));
    await untilListed('registry.example.org', 'of-somebody-else');
  });

  it('let the second look know what the first one saw', async () => {
    const host = 'registry.example.org';
    const saw = { service: 'web', follows: 'x', tags: [] };
    const knew: SearchMemory[] = [];
    const connection = await NativeConnection.connect({ address: temporal.address });
    const searchRegistry = async ({ registry, known }: SearchInput): Promise<SearchOutcome> => {
      // Runs of earlier schedules wait for a worker, too.
      if (registry === host) knew.push(known);
      return { memory: { services: [saw], at: knew.length }, found: [], failed: [] };
    };
    const worker = await Worker.create({
      connection,
      taskQueue: taskQueues.main,
      workflowBundle: await workflowBundle(),
      ...sealedBy(temporal),
      activities: { searchRegistry },
    });
    await worker.runUntil(async () => {
      await ensure(`search: 1s\n${services(`${host}/team/app`)}`);
      await eventually('two looks', async () => knew.length >= 2);
    });
    await connection.close();
    assert.deepEqual(knew.slice(0, 2), [{ services: [] }, { services: [saw], at: 1 }]);
  });
});

describe('a Temporal that cannot set schedules up', () => {
  it('is asked again until it can, and not once more than that', async () => {
    const said: string[] = [];
    const say = (_: unknown, message: string) => void said.push(message);
    let tries = 0;
    const stop = await beginSchedules(
      async () => {
        tries += 1;
        if (tries < 3) throw new Error('unavailable');
      },
      { info: say, error: say },
      5,
    );
    assert.equal(tries, 1, 'whoever starts waits for the first try only');
    await eventually('the schedules', async () => said.length === 3);
    await stop();
    assert.equal(tries, 3);
    assert.match(said[0] ?? '', /tried again/);
    assert.equal(said[2], 'schedules are set up now');
  });

  it('is asked for one configuration at a time: a try that is under way is over before the next begins', async () => {
    const tries: string[] = [];
    const { promise: answer, resolve } = Promise.withResolvers<void>();
    const say = () => undefined;
    const ensure = async () => {
      tries.push('begins');
      if (tries.length === 1) throw new Error('unavailable');
      await answer;
      tries.push('ends');
    };
    const stop = await beginSchedules(ensure, { info: say, error: say }, 5);
    await eventually('the second try', async () => tries.length === 2);
    const stopped = stop().then(() => tries.push('stopped'));
    resolve();
    await stopped;
    assert.deepEqual(tries, ['begins', 'begins', 'ends', 'stopped']);
  });

  it('keeps nothing waiting where it takes what it is asked, and does not answer', async function () {
    this.timeout(60_000);
    const temporal = await startTemporal();
    const log = { info: () => undefined };
    try {
      await ensureSchedules(temporal.client, load(services('mute.example.test/team/app')), log);
      temporal.freeze();
      const begun = performance.now();
      for (const host of ['mute', 'other']) {
        await assert.rejects(ensureSchedules(temporal.client, load(services(`${host}.example.test/team/app`)), log, 500));
      }
      assert.ok(performance.now() - begun < 10_000);
    } finally {
      await temporal.stop();
    }
  });

  it('keeps nothing from stopping', async () => {
    const said: unknown[] = [];
    const say = (...words: unknown[]) => void said.push(words);
    const stop = await beginSchedules(() => Promise.reject(new Error('unavailable')), { info: say, error: say });
    await assert.doesNotReject(stop());
    assert.equal(said.length, 1, 'the first try is told of, and nothing after it');
  });
});
