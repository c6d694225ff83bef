import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import { createNotify } from '../../src/activities/notify.ts';
import { noticeSignal } from '../../src/contracts/messages.ts';
import { notifyId, taskQueues } from '../../src/contracts/start-options.ts';
import type { Notice } from '../../src/domain/notice.ts';
import type { NotifierPlan } from '../../src/domain/plan.ts';
import type { NotifyStart } from '../../src/workflows/notify.ts';
import { type Discord, startDiscord } from '../support/discord-server.ts';
import { noticeOf } from '../support/notices.ts';
import { makeNotifiers, notifierOf } from '../support/notifiers.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-server.ts';
import { runWorkers, type TestWorkers } from '../support/worker.ts';

const discordTarget = notifierOf('discord', 'env:DISCORD');
const webhookTarget = notifierOf('webhook', { url: 'env:HOOK', secret: 'env:KEY' });
const both = [discordTarget, webhookTarget];

describe('telling people', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let discord: Discord;
  let receiver: WebhookReceiver;
  let workers: TestWorkers | undefined;
  let count = 0;
  let rollout = '';

  before(async () => {
    temporal = await startNamespace();
  });
  after(() => temporal.stop());
  beforeEach(async () => {
    [discord, receiver] = await Promise.all([startDiscord(), startWebhookReceiver()]);
    rollout = `rollout:web:latest:${++count}`;
  });
  afterEach(async () => {
    await workers?.stop();
    workers = undefined;
    await Promise.all([discord.stop(), receiver.stop()]);
  });

  const activities = async () => {
    const known: Record<string, string> = {
      'env:DISCORD': discord.webhook,
      'env:HOOK': receiver.address,
      'env:KEY': receiver.key,
    };
    const clientFor = async (repository: string): Promise<never> => {
      throw new Error(`no GitHub for ${repository}`);
    };
    const notifiers = await makeNotifiers({ clientFor, secrets: (reference) => known[reference] ?? '' });
    return createNotify({ client: temporal.client, notifiers });
  };
  async function work(options: { maxCachedWorkflows?: number } = {}): Promise<void> {
    const worker = { taskQueue: taskQueues.main, activities: await activities(), shutdownGraceTime: '1s' };
    workers = await runWorkers(temporal, [{ ...worker, ...options }]);
  }
  /** Starts the telling with other times than the usual ones. */
  const begin = (start: NotifyStart = {}): Promise<WorkflowHandle> =>
    temporal.client.workflow.start('notify', {
      workflowId: notifyId(rollout),
      taskQueue: taskQueues.main,
      args: [{ lingerMs: 200, ...start }],
    });
  const tell = async (notice: Partial<Notice>, notifiers: readonly NotifierPlan[] = both): Promise<void> =>
    (await activities()).queueNotice({ rollout, notice: noticeOf({ rollout, ...notice }), notifiers });
  const told = (): string[] => receiver.taken.map(({ body }) => `${body.number} ${body.event}`);
  const statuses = (): (string | undefined)[] => discord.messages.map(({ embeds }) => embeds[0]?.title?.split(': ')[1]);
  const latestRun = () => temporal.client.workflow.getHandle(notifyId(rollout)).describe();

  it('begins with the first notice, tells in order, keeps one message, and ends after the end', async () => {
    await work();
    const handle = await begin();
    await tell({ number: 1, event: 'proposed', stage: 'production' });
    await tell({ number: 2, event: 'deploying', stage: 'production' });
    await tell({ number: 3, event: 'delivered' });
    await handle.result();
    assert.deepEqual(told(), ['1 proposed', '2 deploying', '3 delivered']);
    assert.deepEqual(statuses(), ['delivered']);
  });

  it('is started by whoever tells first, and readable in Temporal', async () => {
    await work();
    await tell({ number: 1, event: 'deploying' });
    await eventually('the notice', async () => told().length === 1);
    const { status, type, staticSummary } = { ...(await latestRun()), staticSummary: await (await latestRun()).staticSummary() };
    assert.deepEqual([status.name, type, staticSummary], ['RUNNING', 'notify', `what people are told of ${rollout}`]);
  });

  it('tells a notice that is told twice once', async () => {
    await work();
    const handle = await begin();
    for (let time = 0; time < 3; time += 1) await tell({ number: 1, event: 'deploying' });
    await tell({ number: 2, event: 'delivered' });
    await handle.result();
    assert.deepEqual(told(), ['1 deploying', '2 delivered']);
    assert.ok(receiver.requests.length === 2);
  });

  it('holds up nobody where one target is away, and tells that one the newest when it is back', async () => {
    await work();
    await discord.away();
    const handle = await begin();
    await tell({ number: 1, event: 'proposed', stage: 'production' });
    await eventually('the first try', async () => told().length === 1);
    await tell({ number: 2, event: 'deploying', stage: 'production' });
    await tell({ number: 3, event: 'delivered' });
    await eventually('all of the other', async () => told().length === 3);
    await discord.back();
    await handle.result();
    assert.deepEqual(statuses(), ['delivered']);
    // The first, which was on its way already, and the newest.
    assert.deepEqual(
      discord.requests.map(({ method }) => method),
      ['POST', 'PATCH'],
    );
  });

  it('skips a notice that is refused for good, and tells the next', async () => {
    await work();
    const handle = await begin();
    receiver.failNext({ status: 400 });
    await tell({ number: 1, event: 'deploying' });
    await tell({ number: 2, event: 'healthy' });
    discord.removeWebhook();
    await tell({ number: 3, event: 'delivered' });
    await handle.result();
    assert.deepEqual(told(), ['2 healthy', '3 delivered']);
  });

  it('sleeps over a rate limit', async () => {
    await work();
    const handle = await begin();
    discord.failNext({ status: 429, headers: { 'retry-after': '2' } });
    const from = Date.now();
    await tell({ number: 1, event: 'delivered' });
    await handle.result();
    assert.deepEqual(statuses(), ['delivered']);
    assert.equal(discord.requests.length, 2);
    assert.ok(Date.now() - from > 1_500);
  });

  it('looks for something newer to tell between its rounds', async () => {
    await work();
    const handle = await begin({ roundMs: 500 });
    await discord.away();
    await tell({ number: 1, event: 'deploying' }, [discordTarget]);
    await tell({ number: 2, event: 'delivered' }, [discordTarget]);
    // So long that the round that began with the older one is over.
    await eventually('the third round', async () => {
      const { events } = await temporal.client.workflow.getHandle(notifyId(rollout)).fetchHistory();
      return (events ?? []).filter((event) => event.activityTaskScheduledEventAttributes).length > 2;
    });
    await discord.back();
    await handle.result();
    assert.deepEqual(
      discord.requests.map(({ method }) => method),
      ['POST'],
    );
    assert.deepEqual(statuses(), ['delivered']);
  });

  it('gives up in the end, and ends all the same', async () => {
    await work();
    await discord.away();
    const handle = await begin({ roundMs: 500, tryForMs: 2_500 });
    await tell({ number: 1, event: 'delivered' });
    await handle.result();
    assert.deepEqual(told(), ['1 delivered']);
    assert.deepEqual(discord.messages, []);
  });

  it('continues as new with nothing lost: what is told, and where', async () => {
    await work();
    await begin({ longestHistory: 15 });
    const first = (await latestRun()).runId;
    const events = Array.from({ length: 12 }, (_, at) => at + 1);
    for (const number of events) {
      await tell({ number, event: 'deploying' });
      if (number % 3 === 0) await eventually('them', async () => told().length === number);
    }
    await tell({ number: 13, event: 'delivered' });
    await eventually('the end', async () => (await latestRun()).status.name === 'COMPLETED');
    assert.deepEqual(told(), [...events.map((number) => `${number} deploying`), '13 delivered']);
    assert.deepEqual(statuses(), ['delivered']);
    assert.notEqual((await latestRun()).runId, first);
  });

  it('loses nothing that comes while it ends', async () => {
    await work();
    const numbers = Array.from({ length: 30 }, (_, at) => at + 1);
    const runs = new Set<string>();
    for (const number of numbers) {
      const notice = noticeOf({ rollout, runId: `run-${number}`, number, event: 'delivered' });
      const handle = await temporal.client.workflow.signalWithStart('notify', {
        workflowId: notifyId(rollout),
        taskQueue: taskQueues.main,
        args: [{ lingerMs: 1 }],
        signal: noticeSignal,
        signalArgs: [{ notice, notifiers: [webhookTarget] }],
      });
      runs.add(handle.signaledRunId);
      // Some come in a row, some while it ends, and some when it has ended.
      if (number % 3 === 0) await eventually('it', async () => receiver.taken.length === number);
      if (number % 3 === 1) await eventually('its end', async () => (await latestRun()).status.name === 'COMPLETED');
    }
    await eventually('all of them', async () => receiver.taken.length >= numbers.length);
    assert.deepEqual(
      told(),
      numbers.map((number) => `${number} delivered`),
    );
    assert.ok(runs.size > 1, 'it ended at least once on the way');
  });

  it('begins another message when the rollout runs again after its end', async () => {
    await work();
    const handle = await begin({ lingerMs: 2_000 });
    await tell({ runId: 'first', number: 1, event: 'delivered' });
    await eventually('the first', async () => statuses().length === 1);
    await tell({ runId: 'second', number: 1, event: 'unchanged' });
    await handle.result();
    assert.deepEqual(statuses(), ['delivered', 'unchanged']);
  });

  it('ends when nothing more is told, though the end was not', async () => {
    await work();
    const handle = await begin({ idleMs: 300 });
    await tell({ number: 1, event: 'blocked' });
    await handle.result();
    assert.deepEqual(told(), ['1 blocked']);
  });

  it('goes on with another worker, and replays to the same end at every step', async () => {
    await work({ maxCachedWorkflows: 0 });
    const handle = await begin();
    await tell({ number: 1, event: 'deploying' });
    await eventually('the first', async () => told().length === 1 && discord.messages.length === 1);
    await workers?.stop();
    await tell({ number: 2, event: 'healthy' });
    await work({ maxCachedWorkflows: 0 });
    await tell({ number: 3, event: 'delivered' });
    await handle.result();
    assert.deepEqual(told(), ['1 deploying', '2 healthy', '3 delivered']);
    assert.deepEqual(statuses(), ['delivered']);
  });
});
