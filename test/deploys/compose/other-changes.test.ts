import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type Docker from 'dockerode';
import type { ComposeDeployPlan } from '../../../src/deploys/compose/context.ts';
import type { OtherChanges, VerifiedImage } from '../../../src/domain/outcomes.ts';
import { type ComposeSite, composeText, createComposeSite, pinned, refusalOf } from '../../support/compose-site.ts';
import { ensureDocker } from '../../support/docker.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';

type Settings = Readonly<Record<string, object>>;

/** What a person changes in the same repository comes along with the next image. */
describe('deploy: compose, with changes of others', function () {
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

  const textOf = (image: VerifiedImage, web: object = {}, more: Settings = {}) => {
    const services = { web: { image: pinned(image), stop_grace_period: '0s', ...web } };
    return JSON.stringify({ services, ...more }, undefined, 2);
  };
  /** Bob pushes to the base branch; nothing names the image yet. */
  const bobCommits = (web: object, subject = 'try an option', more: Settings = {}) =>
    site.remote.commit('main', { 'docker-compose.yml': textOf(first, web, more) }, subject, 'Bob');
  const merge = (image: VerifiedImage, web: object = {}, more: Settings = {}) =>
    site.remote.commit('main', { 'docker-compose.yml': textOf(image, web, more) }, `web ${image.tag}\n\nLandfall-Rollout: x`);
  const target = (image: VerifiedImage, others: ComposeDeployPlan['others'] = 'ask') =>
    site.target(image, { deploy: { others } });
  const foresee = async (image: VerifiedImage, others: ComposeDeployPlan['others'] = 'ask', accepted?: string) => {
    const { signal } = site.work();
    return await site.deployer.foresee?.(target(image, others), { signal, ...(accepted && { accepted }) });
  };
  const web = async () => docker.getContainer((await site.containers('web'))[0] ?? '').inspect();

  it('lets an image alone go on by itself, and leaves the checkout as it is', async () => {
    const head = await site.git('rev-parse', 'HEAD');
    await site.remote.commit('main', { 'README.md': 'hello' }, 'a note', 'Bob');
    assert.equal(await foresee(await site.image('2')), undefined);
    assert.equal(await site.git('rev-parse', 'HEAD'), head);
    assert.equal(await site.git('status', '--porcelain'), '');
  });

  it('asks before the merge, and names the keys, the person and the commit, but no values', async () => {
    const commit = await bobCommits({ command: ['sleep', '500'], environment: { DB_URL: 'postgres://u:hunter2@db/x' } });
    const refusal = await refusalOf(foresee(await site.image('2')));
    assert.equal(refusal.type, 'OtherChanges');
    const [found] = refusal.details as OtherChanges[];
    assert.deepEqual(found?.changes, ['web: command added', 'web: environment added']);
    assert.deepEqual(found?.commits, [{ commit: commit.slice(0, 12), author: 'Bob', subject: 'try an option' }]);
    assert.match(refusal.message, /web: command added; web: environment added \([0-9a-f]{12} by Bob: try an option\)/);
    assert.ok(!JSON.stringify(refusal).includes('hunter2') && !refusal.message.includes('hunter2'), refusal.message);
  });

  it('goes on with what was said yes to, and asks again where something else came since', async () => {
    await bobCommits({ command: ['sleep', '500'] });
    const next = await site.image('2');
    const [found] = (await refusalOf(foresee(next))).details as OtherChanges[];
    const accepted = found?.fingerprint;
    assert.ok(accepted);
    assert.equal((await foresee(next, 'ask', accepted))?.fingerprint, accepted);
    await bobCommits({ command: ['sleep', '501'] }, 'and another');
    assert.equal((await refusalOf(foresee(next, 'ask', accepted))).type, 'OtherChanges');
    // Between that look and the deploy, too.
    await merge(next, { command: ['sleep', '501'] });
    const late = await refusalOf(site.deployer.deploy(target(next), { ...site.work(), accepted }));
    assert.equal(late.type, 'OtherChanges');
    assert.equal((await web()).Config.Image, pinned(first));
    const [now] = late.details as OtherChanges[];
    const deployed = await site.deployer.deploy(target(next), { ...site.work(), accepted: now?.fingerprint ?? '' });
    assert.match(deployed.text, /recreated .*; came along: web: command added \(/);
  });

  it('refuses for good where the stage says so', async () => {
    await bobCommits({ command: ['sleep', '500'] });
    const refusal = await refusalOf(foresee(await site.image('2'), 'refuse'));
    assert.equal(refusal.type, 'DeployRefused');
    assert.match(refusal.message, /web: command added .*by Bob.*others is 'refuse'/);
  });

  it('sees what another deploy from the same checkout has brought there already', async () => {
    const next = await site.image('2');
    await merge(next);
    await site.deployer.deploy(target(next), site.work());
    await site.remote.commit('main', { 'docker-compose.yml': textOf(next, { command: ['sleep', '500'] }) }, 'option', 'Bob');
    await site.git('pull', '--quiet');
    const refusal = await refusalOf(foresee(await site.image('3')));
    assert.match(refusal.message, /web: command added \([0-9a-f]{12} by Bob: option\)/);
  });

  it('asks where what runs was made from other files than those here', async () => {
    const unsaved = { 'docker-compose.yml': textOf(first, { command: ['sleep', '500'] }) };
    const text = await site.read('docker-compose.yml');
    await site.write(unsaved);
    await site.compose('up', '--detach');
    await site.write({ 'docker-compose.yml': text });
    const refusal = await refusalOf(foresee(await site.image('2')));
    assert.match(refusal.message, /web: what runs was made from another definition than the files here/);
  });

  it('reads env files of the commit, and those that are not tracked', async () => {
    await site.write({ '.env': 'LEVEL=info\n', 'own.env': 'OWN=1\n' });
    const settings = { env_file: ['team.env', 'own.env'], environment: { LEVEL: '$LEVEL', PRICE: '5$$' } };
    const start = { 'docker-compose.yml': textOf(first, settings), 'team.env': 'A=1\n' };
    await site.remote.commit('main', start, 'env files', 'Ann');
    await site.git('pull', '--quiet');
    await site.compose('up', '--detach');
    const next = await site.image('2');
    assert.equal(await foresee(next), undefined);
    await site.remote.commit('main', { 'team.env': 'A=2\nB=1\n' }, 'more', 'Bob');
    const refusal = await refusalOf(foresee(next));
    assert.match(refusal.message, /web: environment\.A changed; web: environment\.B added \([0-9a-f]{12} by Bob: more\)/);
  });

  it('sees a mounted file of the repository change', async () => {
    const volumes = ['./conf:/conf:ro'];
    await site.remote.commit('main', { 'docker-compose.yml': textOf(first, { volumes }), 'conf/a.txt': '1' }, 'conf', 'Ann');
    await site.git('pull', '--quiet');
    await site.compose('up', '--detach');
    await site.remote.commit('main', { 'conf/a.txt': '2' }, 'other limits', 'Bob');
    const refusal = await refusalOf(foresee(await site.image('2')));
    assert.match(refusal.message, /the mounted file conf\/a\.txt changed \([0-9a-f]{12} by Bob: other limits\)/);
  });

  describe('refuses before the merge', () => {
    const refusedAs = async (pattern: RegExp) => {
      const refusal = await refusalOf(foresee(await site.image('2'), 'apply'));
      assert.equal(refusal.type, 'DeployRefused', refusal.message);
      assert.match(refusal.message, pattern);
      assert.equal((await web()).Config.Image, pinned(first));
    };

    it('a checkout with changes that nobody committed', async () => {
      await site.write({ 'docker-compose.yml': `# mine\n${await site.read('docker-compose.yml')}` });
      await refusedAs(/uncommitted changes/);
    });

    it('a checkout on another branch', async () => {
      await site.git('switch', '--quiet', '--detach');
      await refusedAs(/on branch main, found it on no branch/);
    });

    it('a dependency behind a profile that is not active', async () => {
      const services = { web: { image: pinned(first), depends_on: ['db'] }, db: { image: pinned(first), profiles: ['later'] } };
      await site.remote.commit('main', { 'docker-compose.yml': JSON.stringify({ services }) }, 'profile', 'Bob');
      await refusedAs(/depends on undefined service.*db|db.*not deployed yet/);
    });

    it('a volume and a network that are external and not there', async () => {
      const volumes = { data: { external: true, name: `${site.service}-missing` } };
      await bobCommits({ volumes: ['data:/data'] }, 'volume', { volumes });
      await refusedAs(/expected the volume shop-\w+-missing of web on this host.*found none: 'docker volume create/);
      const networks = { front: { external: true, name: `${site.service}-missing` } };
      await bobCommits({ networks: ['front'] }, 'network', { networks });
      await refusedAs(/expected the network shop-\w+-missing of web/);
    });

    it('a service without replicas', async () => {
      await bobCommits({ deploy: { replicas: 0 } });
      await refusedAs(/expected web to have at least one container/);
    });

    it('a port that another process has', async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      const address = server.address();
      assert.ok(typeof address === 'object' && address !== null);
      await bobCommits({ ports: [`127.0.0.1:${address.port}:80`] });
      await refusedAs(
        new RegExp(`expected the port 127.0.0.1:${address.port} of web to be free.*some process of this host has it`),
      );
      server.close();
    });

    for (const [mode, what] of [
      ['network_mode', 'network'],
      ['pid', 'processes'],
      ['ipc', 'IPC'],
    ] as const) {
      it(`a container that shares ${mode} with one that would be replaced, running or not`, async () => {
        const ipc = mode === 'ipc' ? { ipc: 'shareable' } : {};
        const services = {
          web: { image: pinned(first), stop_grace_period: '0s', ...ipc },
          side: { image: pinned(first), stop_grace_period: '0s', [mode]: 'service:web' },
        };
        await site.remote.commit('main', { 'docker-compose.yml': JSON.stringify({ services }) }, 'side', 'Ann');
        await site.git('pull', '--quiet');
        await site.compose('up', '--detach');
        const pattern = new RegExp(`but ${site.project}-side-1 \\(the ${what} of ${site.project}-web-1\\) would lose`);
        await refusedAs(pattern);
        await site.compose('stop', 'side');
        await refusedAs(pattern);
      });
    }
  });
});
