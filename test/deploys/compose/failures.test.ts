import assert from 'node:assert/strict';
import type Docker from 'dockerode';
import { createComposeDeployer } from '../../../src/deploys/compose/deployer.ts';
import { watchDaemon } from '../../../src/deploys/compose/up.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import {
  type ComposeSite,
  composeText,
  createComposeSite,
  pinned,
  refusalOf,
  type SiteTarget,
} from '../../support/compose-site.ts';
import { ensureDocker } from '../../support/docker.ts';
import { startDockerProxy } from '../../support/docker-proxy.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { eventually } from '../../support/wait.ts';

describe('deploy: compose, when something goes wrong', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;
  let site: ComposeSite;
  let first: VerifiedImage;

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
  });
  after(async () => {
    await registry.stop();
  });
  beforeEach(async () => {
    site = await createComposeSite(docker, registry, (image) => {
      first = image;
      return { 'docker-compose.yml': composeText({ web: pinned(image) }) };
    });
    await site.compose('up', '--detach', '--quiet-pull');
  });
  afterEach(async () => {
    await site.destroy();
  });

  const free: SiteTarget = { change: false };
  function deploy(image: VerifiedImage, options: SiteTarget = free, signal?: AbortSignal) {
    return site.deployer.deploy(site.target(image, options), site.work(signal));
  }
  /** A command that writes what it knows, and then does as it is told. */
  function command(file: string, then = 'exit 0'): string[] {
    return ['sh', '-c', `env > ${file}; ${then}`];
  }

  describe('commands', () => {
    it('run before and after in the directory, and know what they are about but no secrets of ours', async () => {
      const secretive = createComposeDeployer({ ...site.options, env: { ...site.options.env, LANDFALL_TOKEN: 'hush' } });
      const next = await site.image('2');
      const commands = { before: [command('before.txt')], after: [command('after.txt')] };
      const target = site.target(next, { ...free, deploy: commands });
      await secretive.deploy(target, site.work());
      for (const file of ['before.txt', 'after.txt']) {
        const lines = (await site.read(file)).split('\n').filter((line) => line.startsWith('LANDFALL_'));
        assert.deepEqual(lines.sort(), [
          `LANDFALL_DIGEST=${next.digest}`,
          `LANDFALL_IMAGE=${pinned(next)}`,
          `LANDFALL_ROLLOUT=${target.rollout}`,
          `LANDFALL_SERVICE=${site.service}`,
          'LANDFALL_STAGE=production',
          'LANDFALL_TAG=2',
        ]);
      }
    });

    it('stop the deploy where one before fails, with what it printed, and run again with the next try', async () => {
      const web = await site.containers('web');
      const next = await site.image('2');
      const failing = ['sh', '-c', 'echo run >> runs.txt; echo no such table; test -e mended.txt'];
      const options = { ...free, deploy: { before: [failing, command('never.txt')] } };
      const refusal = await refusalOf(deploy(next, options));
      assert.equal(refusal.type, 'DeployFailed');
      assert.match(refusal.message, /before the deploy to succeed, but it ended with exit code 1: no such table/);
      assert.deepEqual(refusal.details, [{ command: failing, exitCode: 1, output: 'no such table' }]);
      assert.deepEqual(await site.containers('web'), web);
      await assert.rejects(site.read('never.txt'));

      await site.write({ 'mended.txt': '' });
      assert.equal((await deploy(next, options)).changed, true);
      assert.equal(await site.read('runs.txt'), 'run\nrun\n');
    });

    it('that fail after the deploy fail it, and the next try runs only them', async () => {
      const next = await site.image('2');
      const commands = { before: [['sh', '-c', 'echo run >> before.txt']], after: [['sh', '-c', 'test -e mended.txt']] };
      assert.equal((await refusalOf(deploy(next, { ...free, deploy: commands }))).type, 'DeployFailed');
      const web = await site.containers('web');
      await site.write({ 'mended.txt': '' });
      assert.equal((await deploy(next, { ...free, deploy: commands })).running[0]?.digest, next.digest);
      assert.equal(await site.read('before.txt'), 'run\n');
      assert.deepEqual(await site.containers('web'), web);
    });

    it('fail where they cannot be run, or take too long', async () => {
      const next = await site.image('2');
      const missing = await refusalOf(deploy(next, { ...free, deploy: { before: [['no-such-program']] } }));
      assert.deepEqual(
        [missing.type, /exit code 127: .*no-such-program.*not found/.test(missing.message)],
        ['DeployFailed', true],
      );
      const slow = await refusalOf(deploy(next, { ...free, deploy: { before: [['sleep', '30']], timeoutMs: 200 } }));
      assert.deepEqual([slow.type, /did not end within 0.2 s/.test(slow.message)], ['DeployFailed', true]);
    });

    it('are not cut off by a cancellation, which comes after them', async () => {
      const web = await site.containers('web');
      const stop = new AbortController();
      const next = await site.image('2');
      const before = [['sh', '-c', 'touch begun.txt; while ! test -e go.txt; do sleep 0.1; done; touch done.txt']];
      const deploying = deploy(next, { ...free, deploy: { before } }, stop.signal);
      const ended = assert.rejects(deploying, { name: 'AbortError' });
      await eventually('the command to begin', () =>
        site.read('begun.txt').then(
          () => true,
          () => false,
        ),
      );
      stop.abort();
      await site.write({ 'go.txt': '' });
      await ended;
      assert.equal(await site.read('done.txt'), '');
      assert.deepEqual(await site.containers('web'), web);
    });
  });

  describe('an image that does not come up', () => {
    it('fails with its exit code and its log', async () => {
      const bad = await site.image('bad', { cmd: ['sh', '-c', 'echo out of luck; exit 3'] });
      const refusal = await refusalOf(deploy(bad));
      assert.equal(refusal.type, 'DeployFailed');
      assert.match(refusal.message, /exited with code 3.*out of luck/);
      const [details] = refusal.details as { exitCode: number; log: string }[];
      assert.deepEqual([details?.exitCode, details?.log], [3, 'out of luck']);
    });

    it('fails where its HEALTHCHECK says so, and is waited for where that takes a moment', async () => {
      const bad = await site.image('bad', { healthcheck: { test: ['CMD', '/bin/false'], intervalMs: 100, retries: 2 } });
      const refusal = await refusalOf(deploy(bad));
      assert.deepEqual([refusal.type, /unhealthy/.test(refusal.message)], ['DeployFailed', true]);
      const test = ['CMD-SHELL', 'test -e /tmp/tried || { touch /tmp/tried; false; }'];
      const good = await site.image('good', { healthcheck: { test, intervalMs: 200, retries: 20 } });
      const deployed = await deploy(good);
      const [id = ''] = await site.containers('web');
      assert.equal((await docker.getContainer(id).inspect()).State.Health?.Status, 'healthy');
      assert.equal(deployed.running[0]?.digest, good.digest);
    });

    it('fails with what Docker Compose says where it cannot be created', async () => {
      await site.write({
        'docker-compose.yml': composeText({ web: pinned(first) }, { web: { network_mode: 'container:nobody' } }),
      });
      const refusal = await refusalOf(deploy(await site.image('2')));
      assert.equal(refusal.type, 'DeployFailed');
      assert.match(refusal.message, /docker compose up.*nobody/i);
    });
  });

  const moments = { 'while it replaced a container': false, 'once the replaced container was gone': true };
  for (const [moment, isGone] of Object.entries(moments)) {
    it(`goes on where a Compose was killed ${moment}`, async () => {
      const [id = ''] = await site.containers('web');
      const { Name } = await docker.getContainer(id).inspect();
      const next = await site.image('2');
      // The old container takes its time to stop, and Compose is killed while it waits for that.
      await site.write({ 'docker-compose.yml': composeText({ web: pinned(next) }, { web: { stop_grace_period: '5s' } }) });
      const killed = new AbortController();
      const person = site.composeUntil(killed.signal, 'up', '--detach', '--quiet-pull', 'web');
      const ended = assert.rejects(person);
      await eventually('the new container beside the old one', async () => (await site.containers('web')).length === 2);
      killed.abort();
      await ended;
      assert.equal((await site.containers('web')).length, 2);
      if (isGone) await docker.getContainer(id).remove({ force: true });
      assert.equal((await deploy(next)).running[0]?.digest, next.digest);
      const [web = '', ...others] = await site.containers('web');
      assert.deepEqual([(await docker.getContainer(web).inspect()).Name, others], [Name, []]);
    });
  }

  describe('a daemon that goes away', () => {
    it('is noticed, however late', async () => {
      const proxy = await startDockerProxy(docker);
      try {
        const presence = await watchDaemon(proxy.docker);
        assert.equal(await presence.isBroken(10), false);
        const broken = presence.isBroken(10_000);
        assert.ok(proxy.cut('/events') > 0);
        assert.equal(await broken, true);
        presence.end();
      } finally {
        await proxy.stop();
      }
    });

    it('is not blamed on the image: the deploy is tried again', async () => {
      const bad = await site.image('bad', { cmd: ['sh', '-c', 'exit 3'] });
      // The log is read once the container has failed.
      const proxy = await startDockerProxy(docker, async (line) => {
        if (line.includes('/logs')) proxy.cut('daemon');
      });
      const through = createComposeDeployer({ ...site.options, docker: proxy.docker });
      try {
        await assert.rejects(through.deploy(site.target(bad, free), site.work()), {
          name: 'Error',
          message: /daemon went away during the deploy/,
        });
      } finally {
        await proxy.stop();
      }
    });
  });
});
