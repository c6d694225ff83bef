import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withCauses } from '../../src/domain/errors.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { startLandfall } from '../support/landfall.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';

describe('the service', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let folder: string;
  let taken: Server;

  before(async () => {
    temporal = await startNamespace();
    folder = await mkdtemp(join(tmpdir(), 'landfall-service-'));
    taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
  });
  after(async () => {
    taken.close();
    await temporal.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const refused = async (configuration: string, env: Record<string, string> = {}): Promise<string> => {
    await writeFile(join(folder, 'landfall.yaml'), configuration);
    const started = startLandfall(folder, { ...temporal.env, ...env });
    const error: Error = await started.then(
      async (landfall) => {
        await landfall.stop();
        return assert.fail('it started');
      },
      (reason) => reason,
    );
    return error.message;
  };

  it('refuses a port that somebody else has, names the setting, and shows no stack', async () => {
    const address = taken.address();
    assert.ok(address !== null && typeof address === 'object');
    const operators = `127.0.0.1:${await reservePort()}`;
    const said = await refused(`listen: { webhooks: "127.0.0.1:${address.port}", operators: "${operators}" }\nservices: []\n`);
    assert.match(said, /listen\.webhooks/);
    assert.doesNotMatch(said, /\n\s+at /);
  });

  it('refuses a folder that cannot be used, and names its key', async () => {
    const said = await refused('artifacts: /etc/hostname\nservices: []\n');
    assert.match(said, /artifacts: expected a folder that can be written to, found \/etc\/hostname/);
  });

  it('refuses a proxy that has no address, without repeating it', async () => {
    const said = await refused('services: []\n', { HTTPS_PROXY: 'socks5://ann:canary@proxy.test:1080' });
    assert.match(said, /HTTPS_PROXY: expected the address of a proxy, as http:\/\/proxy\.example\.org:3128/);
    assert.doesNotMatch(said, /canary|\n\s+at /);
  });

  it('says where the world sends webhooks, and stops when it is asked to', async () => {
    const [webhooks, operators] = [await reservePort(), await reservePort()];
    await writeFile(
      join(folder, 'landfall.yaml'),
      `publicUrl: https://landfall.example.org\nlisten: { webhooks: "127.0.0.1:${webhooks}", operators: "127.0.0.1:${operators}" }\nservices: []\n`,
    );
    const landfall = await startLandfall(folder, { ...temporal.env });
    assert.match(landfall.output(), /webhooks +https:\/\/landfall\.example\.org /);
    assert.equal(await landfall.stop(), 0);
  });

  it('says every problem of the configuration with its line', async () => {
    const said = await refused('services:\n  - image: UPPER/case\n    tgas: [latest]\n');
    assert.match(said, /landfall\.yaml:2/);
    assert.match(said, /landfall\.yaml:3.*tags/);
  });

  for (const [role, secret] of [
    ['worker', 'TEST_PASSWORD'],
    ['api', 'HOOK_TOKEN'],
  ] as const) {
    it(`serves operators as ${role} alone, and asks only for the secrets of that part`, async () => {
      const ports = { webhooks: await reservePort(), operators: await reservePort() };
      const text = `
listen: { webhooks: "127.0.0.1:${ports.webhooks}", operators: "127.0.0.1:${ports.operators}" }
receivers: { distribution: { token: env:HOOK_TOKEN } }
services: [{ image: ghcr.io/team/app, smoke: { env: { PASSWORD: env:TEST_PASSWORD } } }]
`;
      assert.match(
        await refused(text, { LANDFALL_ROLES: role }),
        new RegExp(`the environment variable ${secret}, which is not set`),
      );
      const landfall = await startLandfall(folder, {
        ...temporal.env,
        LANDFALL_ROLES: role,
        [secret]: 'chosen',
      });
      try {
        const isReady = (await fetch(`http://127.0.0.1:${ports.operators}/readyz`)).ok;
        const takesWebhooks = await fetch(`http://127.0.0.1:${ports.webhooks}/healthz`).then(
          ({ ok }) => ok,
          () => false,
        );
        assert.deepEqual({ isReady, takesWebhooks }, { isReady: true, takesWebhooks: role === 'api' });
      } finally {
        assert.equal(await landfall.stop(), 0);
      }
    });
  }

  it('only deploys without a folder for reports, and says for which hosts', async () => {
    const [webhooks, operators] = [await reservePort(), await reservePort()];
    const text = `
listen: { webhooks: "127.0.0.1:${webhooks}", operators: "127.0.0.1:${operators}" }
artifacts: /etc/hostname
services: [{ image: ghcr.io/team/app, deploy: { on: web-1, docker: { container: app } } }]
`;
    await writeFile(join(folder, 'landfall.yaml'), text);
    const landfall = await startLandfall(folder, { ...temporal.env, LANDFALL_ROLES: 'deploy' });
    assert.match(landfall.output(), /deploys +of on: web-1/);
    assert.equal(await landfall.stop(), 0);
  });

  it('refuses to deploy for a Temporal of its own, which nobody else asks anything', async () => {
    const said = await refused('services: [{ image: ghcr.io/team/app, deploy: { docker: { container: app } } }]\n', {
      TEMPORAL_ADDRESS: '',
      TEMPORAL_NAMESPACE: '',
      LANDFALL_ROLES: 'deploy',
    });
    assert.match(said, /LANDFALL_ROLES: expected api or worker beside deploy/);
  });

  it('refuses to work with a cluster without a key, or with a short one, and says how one is made', async () => {
    const missing = await refused('services: []\n', { LANDFALL_KEY: '' });
    assert.match(missing, /expected Landfall's key as temporal\.key .* or in LANDFALL_KEY .* made with 'openssl rand -hex 32'/);
    const short = await refused('services: []\n', { LANDFALL_KEY: 'hunter2' });
    assert.match(short, /at least 32 characters in env:LANDFALL_KEY, found one of 7: .* made with 'openssl rand -hex 32'/);
    assert.doesNotMatch(short, /hunter2/);
  });

  it('says where Temporal was expected when it does not answer', async () => {
    const said = await refused('services: []\n', { TEMPORAL_ADDRESS: `127.0.0.1:${await reservePort()}` });
    assert.match(said, /does not answer/);
  });
});

describe('an error explained', () => {
  it('has its causes, one a line, and a stack only where the fault is ours', () => {
    const outer = new Error('no scan', { cause: new Error('no database', { cause: 'offline' }) });
    assert.equal(withCauses(outer), 'no scan\n  because: no database\n  because: offline');
    assert.match(withCauses(new TypeError('x is undefined')), /at /);
  });
});
