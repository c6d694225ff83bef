import assert from 'node:assert/strict';
import { pino } from 'pino';
import { resolveId, searchId } from '../../src/contracts/start-options.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import { ensureSchedules } from '../../src/process/schedules.ts';
import { load } from '../config/support.ts';
import { type FaultyProxy, startFaultyProxy } from '../support/faulty-proxy.ts';
import { eventually } from '../support/wait.ts';
import { readConfiguration, startWorld, type World } from '../support/world.ts';

const everyMs = 3_000;

describe('a push that no webhook tells of', function () {
  this.timeout(120_000);
  let world: World;
  let proxy: FaultyProxy;

  before(async () => {
    world = await startWorld({
      forge: 'git',
      inFront: async (registry) => {
        proxy = await startFaultyProxy(registry.url, { applies: ({ method }) => method === 'HEAD' });
        return proxy.host;
      },
      // Without a receiver for what the registry tells.
      configuration: { receivers: { github: { secrets: ['env:WEBHOOK_SECRET'] } }, search: '3s' },
      service: { scan: 'off', smoke: 'off' },
    });
    const env = { WEBHOOK_SECRET: 'x', GITHUB_TOKEN: 'x', ...world.temporal.env };
    // Before Landfall does it itself, which changes nothing.
    await ensureSchedules(world.temporal.client, load(await readConfiguration(world), env), pino({ level: 'silent' }));
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await world.stop();
    await proxy.stop();
  });

  const searches = async (): Promise<number> => {
    const { info } = await world.temporal.client.schedule.getHandle(searchId(world.host)).describe();
    return info.numActionsTaken;
  };
  const untilMoreSearches = async (count: number): Promise<void> => {
    const before = await searches();
    await eventually(`${count} more searches`, async () => (await searches()) >= before + count);
  };
  const push = (version: string): Promise<Digest> => world.push('latest', { labels: { version } });
  const runsOf = async (workflowId: string): Promise<number> => {
    let count = 0;
    for await (const _ of world.temporal.client.workflow.list({ query: `WorkflowId = '${workflowId}'` })) count += 1;
    return count;
  };
  const rolloutsOf = (digest: Digest): Promise<number> => runsOf(world.rollout('latest', digest).workflowId);

  it('is found at the first sight, where the base branch has something else', async () => {
    const digest = await push('0');
    await world.start();
    await world.until('latest', digest, 'proposed', 30_000);
    await untilMoreSearches(2);
    assert.deepEqual([await rolloutsOf(digest), await runsOf(resolveId('web'))], [1, 1]);
  });

  it('is found within one interval after the ingress was down, and taken up once', async () => {
    await world.landfall().stop();
    const digest = await push('1');
    const pushedAt = new Date();
    await assert.rejects(fetch(`${world.webhooks}/webhook/image-published`, { method: 'POST' }), TypeError);
    await world.start();
    await world.until('latest', digest, 'proposed', 30_000);
    await untilMoreSearches(3);
    assert.deepEqual([await rolloutsOf(digest), await runsOf(resolveId('web'))], [1, 2]);
    // One search begins in each interval: the first that ends finds it.
    const { startTime: foundAt } = await world.temporal.client.workflow.getHandle(resolveId('web')).describe();
    const inVain = `WorkflowType = 'search' AND StartTime > '${pushedAt.toISOString()}' AND CloseTime < '${foundAt.toISOString()}'`;
    assert.equal((await world.temporal.client.workflow.count(inVain)).count, 0);
    const { spec } = await world.temporal.client.schedule.getHandle(searchId(world.host)).describe();
    assert.deepEqual(
      spec.intervals?.map(({ every }) => every),
      [everyMs],
    );
  });

  it('is taken up once where its webhook comes after all, or came before', async () => {
    const early = await push('2');
    assert.equal((await world.deliver('latest', early)).status, 202);
    await world.until('latest', early, 'proposed', 30_000);
    await untilMoreSearches(2);
    assert.equal(await rolloutsOf(early), 1);
  });

  it('is found though the worker was killed while it searched', async () => {
    await untilMoreSearches(1);
    proxy.next({ kind: 'hang' });
    await eventually('a search to hang', async () => proxy.remaining() === 0);
    const digest = await push('3');
    await world.landfall().kill();
    await world.start();
    await world.until('latest', digest, 'proposed', 60_000);
    await untilMoreSearches(2);
    assert.equal(await rolloutsOf(digest), 1);
  });
});
