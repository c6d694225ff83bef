import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { createGitHubClients } from '../../../src/platform/github/client.ts';
import {
  createGitHubDeliveries,
  type DeliveryAttempt,
  type HookOwner,
  lostAmong,
} from '../../../src/platform/github/deliveries.ts';
import { allPermissions } from '../../support/github/access.ts';
import { type GitHub, type GitHubOptions, startGitHub, token } from '../../support/github/server.ts';
import type { Delivery } from '../../support/github/webhooks.ts';
import { refused } from '../../support/github-forge.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const now = new Date('2026-02-10T12:00:00Z');
/** Nobody listens there. */
const nowhere = { url: 'http://127.0.0.1:9/webhook/image-published', secret: 'secret' };
const repository = 'Team/app';

let ids = 0;
function attempt(
  guid: string,
  status_code: number,
  more: Partial<DeliveryAttempt> & { minutesAgo?: number } = {},
): DeliveryAttempt {
  const { minutesAgo = 1, ...rest } = more;
  ids += 1;
  const delivered_at = new Date(now.getTime() - minutesAgo * minuteMs).toISOString();
  return { id: ids, guid, event: 'package', delivered_at, redelivery: false, status_code, ...rest };
}
/** @param attempts newest first */
const lost = (...attempts: readonly DeliveryAttempt[]) => lostAmong(attempts, now).map(({ guid }) => guid);
const again = { redelivery: true };

describe('an event that GitHub delivered', () => {
  it('is lost where no attempt was answered with 2xx', () => {
    for (const status of [0, 302, 400, 401, 404, 429, 500, 503, 504])
      assert.deepEqual(lost(attempt('a', status)), ['a'], `${status}`);
    for (const status of [200, 202, 204]) assert.deepEqual(lost(attempt('a', status)), [], `${status}`);
  });

  it('has arrived where one attempt did, first or last', () => {
    assert.deepEqual(lost(attempt('a', 202, again), attempt('a', 0)), []);
    assert.deepEqual(lost(attempt('a', 500, again), attempt('a', 200)), []);
  });

  it('is sent three times in all, the third time for a longer outage', () => {
    const second = (minutesAgo: number) => attempt('a', 503, { ...again, minutesAgo });
    const first = attempt('a', 503, { minutesAgo: 100 });
    assert.deepEqual(lost(second(29), first), []);
    assert.deepEqual(lost(second(30), first), ['a']);
    assert.deepEqual(lost(second(60), second(90), first), []);
  });

  it('counts the first attempt also where the list ends before it', () => {
    assert.deepEqual(lost(attempt('a', 0, again)), []);
    assert.deepEqual(lost(attempt('a', 0, { ...again, minutesAgo: 31 })), ['a']);
    assert.deepEqual(lost(attempt('a', 0, { ...again, minutesAgo: 31 }), attempt('a', 0, { ...again, minutesAgo: 61 })), []);
  });

  it('is asked for by its last attempt, in the order of those', () => {
    const [a, b, c] = [attempt('a', 0, { minutesAgo: 40 }), attempt('b', 0, { minutesAgo: 35 }), attempt('c', 200)];
    const last = attempt('a', 0, { ...again, minutesAgo: 31 });
    assert.deepEqual(lostAmong([c, last, b, a], now), [b, last]);
  });
});

describe('deliveries of webhooks at GitHub', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;
  const start = async (options: GitHubOptions = {}) => {
    github = await startGitHub({ webhooks: nowhere, ...options });
    await github.createRepository(repository);
  };
  afterEach(() => github.stop());

  const deliveries = () => createGitHubDeliveries(createGitHubClients({ token }, { url: github.url }).clientFor);
  const query = { isOurs: (url: string) => url === nowhere.url, events: ['package'], now: new Date() };
  const find = (owner: HookOwner, more: Partial<typeof query> = {}) =>
    deliveries().findLost(owner, { ...query, now: new Date(), ...more });
  const guidsOf = async (owner: HookOwner, more: Partial<typeof query> = {}) =>
    (await find(owner, more)).lost.map(({ guid }) => guid);
  const announce = async (count: number, event = 'package'): Promise<readonly Delivery[]> => {
    for (let sent = 0; sent < count; sent++) github.announce(repository, event, { action: 'published' });
    return await github.deliveries();
  };
  const asked = (operation: string) => github.requests.filter((request) => request.operation === operation).length;

  it('are found and asked for again, of a repository and of an organization', async () => {
    for (const owner of [{ repository }, { organization: 'team' }]) {
      const webhooks = 'organization' in owner ? { ...nowhere, organization: true as const } : nowhere;
      await start({ webhooks });
      const [first] = await announce(1);
      const { hooks, lost: found } = await find(owner);
      assert.equal(hooks, 1);
      assert.deepEqual(found, [{ hook: 1, guid: first?.id, attempt: first?.attempt }]);
      for (const each of found) await deliveries().redeliver(owner, each);
      const [, second] = await github.deliveries();
      assert.deepEqual([second?.id, second?.redelivery, second?.status], [first?.id, true, 0]);
      // The other kind of owner has none.
      const other = 'organization' in owner ? { repository } : { organization: 'team' };
      assert.deepEqual(await find(other), { hooks: 0, lost: [] });
      if (owner !== undefined && 'repository' in owner) await github.stop();
    }
  });

  it('of other events, of other webhooks, and older than three days, are left alone', async () => {
    await start();
    await announce(1, 'push');
    const [, old] = await announce(1);
    assert.ok(old !== undefined);
    assert.deepEqual(await guidsOf({ repository }), [old.id]);
    assert.deepEqual(await find({ repository }, { isOurs: () => false }), { hooks: 0, lost: [] });
    old.at = new Date(Date.now() - 3 * dayMs - minuteMs).toISOString();
    assert.deepEqual(await guidsOf({ repository }), []);
  });

  it('are read page by page, up to those that are too old, and never more than ten pages', async () => {
    await start();
    const all = await announce(250);
    assert.deepEqual(
      await guidsOf({ repository }),
      all.map(({ id }) => id),
    );
    assert.equal(asked('repos/list-webhook-deliveries'), 3);
    for (const each of all.slice(0, 120)) each.at = new Date(Date.now() - 4 * dayMs).toISOString();
    assert.equal((await guidsOf({ repository })).length, 130);
    assert.equal(asked('repos/list-webhook-deliveries'), 5);
    await announce(1100);
    assert.equal((await guidsOf({ repository })).length, 1000);
    assert.equal(asked('repos/list-webhook-deliveries'), 15);
  });

  it('cannot be seen by everybody, and it is said what is needed', async () => {
    await start({ tokens: { weak: { login: 'weak', permissions: { contents: 'write' } } } });
    const weak = createGitHubDeliveries(createGitHubClients({ token: 'weak' }, { url: github.url }).clientFor);
    await assert.rejects(
      weak.findLost({ repository }, query),
      refused('ForgeRefused', /needs the permission repository_hooks=write/),
    );
    await assert.rejects(find({ repository: 'team/none' }), refused('ForgeRefused', /webhooks of team\/none.*admin:repo_hook/));
    await assert.rejects(find({ organization: 'none' }), refused('ForgeRefused', /webhooks of none.*admin:org_hook/));
  });

  it('are asked for by an app, by its installation in the organization', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = { type: 'spki', format: 'pem' } as const;
    const app = {
      id: '7',
      publicKey: publicKey.export(pem) as string,
      installation: 11,
      owner: 'Team',
      permissions: { ...allPermissions },
    };
    await start({ apps: [app], webhooks: { ...nowhere, organization: true } });
    const [first] = await announce(1);
    const credentials = { app: { id: '7', privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string } };
    const ofApp = createGitHubDeliveries(createGitHubClients(credentials, { url: github.url }).clientFor);
    const { lost: found } = await ofApp.findLost({ organization: 'team' }, query);
    assert.deepEqual(
      found.map(({ guid }) => guid),
      [first?.id],
    );
    for (const each of found) await ofApp.redeliver({ organization: 'team' }, each);
    assert.equal((await github.deliveries()).length, 2);
    // One installation serves the organization and its repositories.
    assert.equal(asked('apps/get-org-installation') + asked('apps/get-repo-installation'), 1);
    await assert.rejects(
      ofApp.findLost({ organization: 'other' }, query),
      refused('ForgeRefused', /not installed on other, or there is no such organization/),
    );
  });
});
