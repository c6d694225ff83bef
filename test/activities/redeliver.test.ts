import assert from 'node:assert/strict';
import type { Redelivery } from '../../src/activities/dependencies.ts';
import { createRedeliver } from '../../src/activities/redeliver.ts';
import type { ReceivedPush } from '../../src/api/webhooks/plan-starts.ts';
import type { RedeliveryEntry } from '../../src/domain/audit.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { githubSource } from '../../src/sources/github/index.ts';
import { githubSecret, type Ingress, startIngress } from '../api/support/ingress.ts';
import { smallestGithubEvent } from '../api/support/vectors.ts';
import { runActivity } from '../support/activity.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { startTcpGate, type TcpGate } from '../support/tcp-gate.ts';

const repository = 'Team/app';

const { path = '', events = [] } = githubSource.gitHubWebhooks ?? {};

describe('failed deliveries of webhooks', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;
  let ingress: Ingress;
  /** Landfall, as the world reaches it. */
  let gate: TcpGate;
  let pushes: ReceivedPush[];
  let entries: RedeliveryEntry[];

  beforeEach(async () => {
    [pushes, entries] = [[], []];
    ingress = await startIngress({
      acceptPushes: () => async (received) => {
        pushes.push(...received.pushes);
        return { rollouts: [{ id: 'rollout:app', service: 'app', image: 'ghcr.io/team/app:latest' }], resolving: [] };
      },
    });
    gate = await startTcpGate(ingress.url);
    github = await startGitHub({ webhooks: { url: `http://${gate.host}${path}`, secret: githubSecret } });
    await github.createRepository(repository);
  });
  afterEach(async () => {
    await Promise.all([github.stop(), gate.shut(), ingress.listeners.stop()]);
  });

  const redeliver = (more: Partial<Redelivery> = {}, info: Parameters<typeof runActivity>[2] = {}) => {
    const { clientFor } = createGitHubClients({ token }, { url: github.url });
    const redelivery: Redelivery = {
      owners: [{ repository }],
      path,
      publicUrl: `http://${gate.host}`,
      events,
      report: (entry) => entries.push(entry),
      ...more,
    };
    return runActivity(createRedeliver({ clientFor, redelivery }).redeliverWebhooks, {}, info);
  };
  const publish = () => github.announce(repository, 'registry_package', smallestGithubEvent);
  const asked = () => github.requests.filter(({ operation }) => operation === 'repos/redeliver-webhook-delivery').length;

  it('arrive once, when Landfall is back', async () => {
    await gate.shut();
    publish();
    const [missed] = await github.deliveries();
    assert.equal(missed?.status, 0);
    await gate.open();
    assert.deepEqual(await redeliver(), { kind: 'checked', redelivered: 1, problems: [] });
    assert.deepEqual(
      (await github.deliveries()).map(({ status }) => status),
      [0, 202],
    );
    assert.deepEqual(await redeliver(), { kind: 'checked', redelivered: 0, problems: [] });
    await github.deliveries();
    assert.deepEqual(
      pushes.map(({ deliveryId }) => deliveryId),
      [missed.id],
    );
    const [first, second] = entries;
    const { timestamp, ...said } = first ?? {};
    assert.ok(Date.parse(String(timestamp)) > Date.now() - 60_000);
    assert.deepEqual(said, {
      event_type: 'deliveries_checked',
      source: 'github',
      outcome: 'redelivered',
      services: [],
      action: 'redeliver',
      status: 'checked',
      images: [],
      repositories: [repository],
      redelivered: [missed.id],
    });
    assert.deepEqual([second?.outcome, second?.redelivered], ['nothing-failed', []]);
  });

  it('are asked for once more where the outage goes on, and then rest', async () => {
    await gate.shut();
    publish();
    for (let look = 0; look < 4; look++) {
      await redeliver();
      await github.deliveries();
    }
    assert.equal(asked(), 1);
  });

  it('are not asked for twice where the activity is tried again', async () => {
    await gate.shut();
    publish();
    const [missed] = await github.deliveries();
    const heartbeatDetails = [`1:${missed?.attempt}`];
    assert.deepEqual(await redeliver({}, { heartbeatDetails }), { kind: 'checked', redelivered: 0, problems: [] });
    assert.equal(asked(), 0);
  });

  it('of webhooks that lead elsewhere are left alone, and it is said that none leads here', async () => {
    await gate.shut();
    publish();
    await github.deliveries();
    for (const more of [
      { publicUrl: 'https://other.example' },
      { publicUrl: `https://${gate.host}` },
      { path: '/webhook/other' },
    ]) {
      const outcome = JSON.stringify(await redeliver(more));
      assert.match(outcome, /"problems":\["Team\/app: expected an active webhook that leads to .*, found none/);
    }
    assert.equal(asked(), 0);
    assert.deepEqual([entries[0]?.status, entries[0]?.outcome], ['failed', 'failed']);
    // Where nobody has said how the world reaches us, the path tells.
    const { publicUrl: _, ...byPath } = { publicUrl: '', owners: [{ repository }], path, events };
    const { clientFor } = createGitHubClients({ token }, { url: github.url });
    const activity = createRedeliver({ clientFor, redelivery: { ...byPath, report: () => {} } }).redeliverWebhooks;
    assert.deepEqual(await runActivity(activity, {}), { kind: 'checked', redelivered: 1, problems: [] });
    await github.deliveries();
  });

  it('of one owner that cannot be asked keep no other from being asked', async () => {
    await gate.shut();
    publish();
    await github.deliveries();
    const outcome = await redeliver({ owners: [{ repository: 'team/none' }, { organization: 'none' }, { repository }] });
    assert.equal(outcome.kind === 'checked' && outcome.redelivered, 1);
    assert.deepEqual(
      entries.map(({ repositories, outcome: found }) => [...repositories, found]),
      [
        ['team/none', 'failed'],
        ['none', 'failed'],
        [repository, 'redelivered'],
      ],
    );
    github.failNext({ status: 502 });
    assert.match(JSON.stringify(await redeliver()), /"problems":\["Team\/app: /);
    await github.deliveries();
  });

  it('wait where GitHub asks us to, and what was asked for until then is told', async () => {
    await gate.shut();
    publish();
    publish();
    await github.deliveries();
    github.failNext({
      rateLimit: 'secondary',
      seconds: 90,
      matching: (method, path) => method === 'POST' && path.includes('/2/'),
    });
    const outcome = await redeliver();
    assert.ok(outcome.kind === 'rate-limited' && Date.parse(outcome.until) > Date.now() + 60_000);
    assert.deepEqual([entries[0]?.status, entries[0]?.outcome, entries[0]?.redelivered.length], ['rate-limited', 'failed', 1]);
    await github.deliveries();
  });

  it('are nobody’s business where no webhooks are configured', async () => {
    const { clientFor } = createGitHubClients({ token }, { url: github.url });
    const activity = createRedeliver({ clientFor }).redeliverWebhooks;
    assert.deepEqual(await runActivity(activity, {}), { kind: 'checked', redelivered: 0, problems: [] });
    assert.equal(github.requests.length, 0);
  });
});
