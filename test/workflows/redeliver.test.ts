import assert from 'node:assert/strict';
import { ScheduleOverlapPolicy } from '@temporalio/client';
import { createRedeliver } from '../../src/activities/redeliver.ts';
import type { RedeliverActivities, RedeliverySummary } from '../../src/contracts/activities/pushes.ts';
import { redeliverAction, redeliverId, taskQueues } from '../../src/contracts/start-options.ts';
import type { RedeliveryEntry } from '../../src/domain/audit.ts';
import type { RateLimited } from '../../src/domain/outcomes.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { githubSource } from '../../src/sources/github/index.ts';
import { githubSecret, type Ingress, startIngress } from '../api/support/ingress.ts';
import { smallestGithubEvent } from '../api/support/vectors.ts';
import { startGitHub, token } from '../support/github/server.ts';
import { startTcpGate } from '../support/tcp-gate.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { runWorkers } from '../support/worker.ts';

const { path = '', events = [] } = githubSource.gitHubWebhooks ?? {};

describe('the look for failed deliveries', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  const undo: (() => Promise<unknown>)[] = [];

  before(async () => {
    temporal = await startNamespace();
  });
  after(() => temporal.stop());
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  async function work(activities: RedeliverActivities): Promise<void> {
    const workers = await runWorkers(temporal, [{ taskQueue: taskQueues.main, activities, shutdownGraceTime: '1s' }]);
    undo.push(() => workers.stop());
  }
  const start = () =>
    temporal.client.workflow.start('redeliver', { workflowId: redeliverId, taskQueue: taskQueues.main, args: [] });

  it('is made by a schedule: what GitHub could not deliver arrives once, when Landfall is back', async () => {
    let accepted = 0;
    const ingress: Ingress = await startIngress({
      acceptPushes: () => async () => {
        accepted += 1;
        return { rollouts: [{ id: 'rollout:app', service: 'app', image: 'ghcr.io/team/app:latest' }], resolving: [] };
      },
    });
    const gate = await startTcpGate(ingress.url);
    const publicUrl = `http://${gate.host}`;
    const github = await startGitHub({ webhooks: { url: `${publicUrl}${path}`, secret: githubSecret } });
    undo.push(
      () => github.stop(),
      gate.shut,
      () => ingress.listeners.stop(),
    );
    await github.createRepository('team/app');
    await gate.shut();
    github.announce('team/app', 'registry_package', smallestGithubEvent);
    const [missed] = await github.deliveries();
    assert.equal(missed?.status, 0);
    await gate.open();

    const entries: RedeliveryEntry[] = [];
    const { clientFor } = createGitHubClients({ token }, { url: github.url });
    const redelivery = { owners: [{ repository: 'team/app' }], path, publicUrl, events };
    await work(createRedeliver({ clientFor, redelivery: { ...redelivery, report: (entry) => entries.push(entry) } }));
    const schedule = await temporal.client.schedule.create({
      scheduleId: redeliverId,
      spec: { intervals: [{ every: '2s' }] },
      policies: { overlap: ScheduleOverlapPolicy.SKIP },
      action: redeliverAction(),
    });
    undo.push(() => schedule.delete());
    await eventually('three looks', async () => (entries.length >= 3 ? entries : undefined));
    assert.deepEqual(
      entries.slice(0, 3).map(({ outcome }) => outcome),
      ['redelivered', 'nothing-failed', 'nothing-failed'],
    );
    assert.deepEqual(entries[0]?.redelivered, [missed.id]);
    assert.equal(accepted, 1);
  });

  it('leaves a short history, and its result says what it came to', async () => {
    const summary: RedeliverySummary = { kind: 'checked', redelivered: 2, problems: [] };
    await work({ redeliverWebhooks: async () => summary });
    const handle = await start();
    assert.deepEqual(await handle.result(), summary);
    assert.ok(((await handle.fetchHistory()).events?.length ?? 99) <= 12);
  });

  it('waits until a rate limit ends, and leaves the next look to the schedule', async () => {
    let looks = 0;
    const until = new Date(Date.now() + 3_000).toISOString();
    const limited: RateLimited = { kind: 'rate-limited', until };
    await work({
      redeliverWebhooks: async () => {
        looks += 1;
        return limited;
      },
    });
    assert.deepEqual(await (await start()).result(), limited);
    assert.ok(Date.now() >= Date.parse(until), 'it ended while the limit lasted');
    assert.equal(looks, 1);
  });

  it('is tried three times where its worker is killed, and then left to the schedule', async () => {
    let tries = 0;
    await work({
      redeliverWebhooks: async () => {
        tries += 1;
        throw new Error('killed');
      },
    });
    const handle = await start();
    await assert.rejects(handle.result());
    assert.equal(tries, 3);
  });
});
