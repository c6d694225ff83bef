import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { createComposeDeployer } from '../../../src/deploys/compose/deployer.ts';
import type { RunningImage, VerifiedImage } from '../../../src/domain/outcomes.ts';
import { safeName } from '../../../src/platform/files/safe-name.ts';
import { type ComposeSite, createComposeSite, pinned, refusalOf } from '../../support/compose-site.ts';
import { ensureDocker } from '../../support/docker.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';

/** A rollback restores the whole definition that ran, and what the host is to blame for is not blamed on the image. */
describe('going back with compose to a service as it ran', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;
  let site: ComposeSite;
  let first: VerifiedImage;
  let next: VerifiedImage;

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
      return { 'docker-compose.yml': textOf(image), 'team.env': 'LEVEL=info\nPRICE=5$$\n' };
    });
    await site.compose('up', '--detach', '--quiet-pull');
    next = await site.image('2');
  });
  afterEach(async () => {
    await site.destroy();
  });

  const usual = {
    command: ['sleep', '700'],
    env_file: ['team.env'],
    environment: { COST: '7$$', SECRET: 'hunter2' },
    volumes: ['./:/site:ro', 'data:/data'],
    labels: { kept: 'yes' },
  };
  function textOf(image: VerifiedImage, web: object = {}, more: object = {}): string {
    const services = {
      web: { image: pinned(image), stop_grace_period: '0s', depends_on: ['db'], ...usual, ...web },
      db: { image: pinned(first), stop_grace_period: '0s' },
    };
    return JSON.stringify({ services, volumes: { data: {} }, ...more }, undefined, 2);
  }
  const target = () => site.target(next, { deploy: { others: 'apply' } });
  const merge = (web: object, files: Readonly<Record<string, string>> = {}, more: object = {}) =>
    site.remote.commit('main', { 'docker-compose.yml': textOf(next, web, more), ...files }, 'web 2 and an option', 'Bob');
  const web = async () => docker.getContainer((await site.containers('web'))[0] ?? '').inspect();
  const settingsOf = ({ Config, HostConfig, Mounts }: Awaited<ReturnType<typeof web>>) => ({
    image: Config.Image,
    command: Config.Cmd,
    env: [...Config.Env].sort(),
    label: Config.Labels.kept,
    ports: HostConfig.PortBindings,
    mounts: Mounts.map(({ Source, Destination }) => `${Source} ${Destination}`).sort(),
    networks: HostConfig.NetworkMode,
  });
  const stageFolder = () => join(site.data, 'deploy/stages', safeName(site.service, 'production'));

  it('brings back command, environment, mounts and labels with the image, and the next deploy and a person go on from there', async () => {
    const ran = settingsOf(await web());
    const before = await site.deployer.running(target());
    const bad = { command: ['sh', '-c', 'echo wrong option; exit 2'], environment: {}, labels: {}, volumes: [] };
    await merge(bad, { 'team.env': 'LEVEL=debug\n' });
    const failure = await refusalOf(site.deployer.deploy(target(), site.work()));
    assert.equal(failure.type, 'DeployFailed');
    assert.match(failure.message, /wrong option/);
    // Neither forge nor registry are needed, nor are the files as they were.
    await site.git('remote', 'rename', 'origin', 'elsewhere');
    const restored = await site.deployer.restore(target(), before, site.work());
    assert.deepEqual([restored.changed, restored.note], [true, undefined]);
    assert.deepEqual(settingsOf(await web()), ran);
    await site.git('remote', 'rename', 'elsewhere', 'origin');

    const again = await site.deployer.restore(target(), before, site.work());
    assert.deepEqual([again.changed, again.text], [false, 'what ran before runs']);
    // Its definition is known again, so that Bob's commit, which stays in the repository, is found to come along once more.
    const third = site.target(await site.image('3'), { deploy: { others: 'ask' } });
    const { signal } = site.work();
    const refusal = await refusalOf(site.deployer.foresee?.(third, { signal }) ?? Promise.resolve());
    assert.match(refusal.message, /web: command changed; web: environment.COST removed.* by Bob: web 2 and an option/);
    // Once the repository has all of it back, nothing comes along, and a person's `up` changes nothing.
    const files = { 'docker-compose.yml': textOf(first), 'team.env': 'LEVEL=info\nPRICE=5$$\n' };
    await site.remote.commit('main', files, 'back', 'Bob');
    assert.equal(await site.deployer.foresee?.(third, { signal }), undefined);
    await site.deployer.settle(target());
    const id = (await web()).Id;
    await site.compose('up', '--detach', '--no-deps', 'web');
    assert.equal((await web()).Id, id);
  });

  it('keeps what ran for its owner alone', async () => {
    await merge({});
    await site.deployer.deploy(target(), site.work());
    const names = (await readdir(stageFolder(), { recursive: true })).filter((name) => /\.(?:yml|key)$/.test(name));
    const secret: string[] = [];
    for (const name of names) {
      const path = join(stageFolder(), name);
      assert.equal((await stat(path)).mode & 0o777, 0o600, name);
      if ((await readFile(path, 'utf8')).includes('hunter2')) secret.push(name.replace(/[0-9a-f]{8,}/, 'DIGEST'));
    }
    assert.deepEqual(secret.sort(), ['before/DIGEST.yml', 'current.yml']);
  });

  it('puts back the image alone where nobody kept the rest, and says so', async () => {
    const before: readonly RunningImage[] = await site.deployer.running(target());
    await merge({ command: ['sleep', '800'] });
    await site.deployer.deploy(target(), site.work());
    const elsewhere = createComposeDeployer({ ...site.options, folder: join(site.data, 'another-host') });
    const restored = await elsewhere.restore(target(), before, site.work());
    assert.match(restored.note ?? '', /settings that it ran with are not known.*only the image was put back/);
    assert.deepEqual([(await web()).Config.Image, (await web()).Config.Cmd], [pinned(first), ['sleep', '800']]);
  });

  it('puts what ran back at once where a port is taken, blames the host, and deploys once it is free', async () => {
    const ran = settingsOf(await web());
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const ports = [`127.0.0.1:${address.port}:80`];
    await merge({ ports });
    // One in a container of its own cannot try the host's ports before.
    const inContainer = createComposeDeployer({ ...site.options, isOnHost: false });
    const refusal = await refusalOf(inContainer.deploy(target(), site.work()));
    assert.equal(refusal.type, 'DeployRefused', refusal.message);
    assert.match(
      refusal.message,
      /the host kept web from starting, and not the image: .*address already in use.*what ran before runs again/,
    );
    assert.deepEqual(settingsOf(await web()), ran);
    assert.equal((await web()).State.Running, true);
    await new Promise((resolve) => server.close(resolve));
    const deployed = await inContainer.deploy(target(), site.work());
    assert.equal(deployed.running[0]?.digest, next.digest);
  });

  it('leaves all as it is where Compose refuses before it has begun, and says that nothing was changed', async () => {
    const id = (await web()).Id;
    // Seen by nobody before: a driver that is not there.
    await merge({ volumes: ['other:/data'] }, {}, { volumes: { data: {}, other: { driver: 'no-such-driver' } } });
    const refusal = await refusalOf(site.deployer.deploy(target(), site.work()));
    assert.equal(refusal.type, 'DeployRefused', refusal.message);
    assert.match(refusal.message, /no-such-driver.*nothing was changed: what ran before runs on/);
    assert.equal((await web()).Id, id);
  });
});
