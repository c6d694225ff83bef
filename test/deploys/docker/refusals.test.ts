import assert from 'node:assert/strict';
import Docker from 'dockerode';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { hasImage } from '../../support/docker.ts';
import { createDeployWorld, type DeployWorld, work } from '../../support/docker-deploy.ts';
import { pushRivals } from '../../support/rival-images.ts';

describe('a docker deploy refuses', function () {
  this.timeout(60_000);
  let world: DeployWorld;
  let old: VerifiedImage;
  let next: VerifiedImage;
  before(async () => {
    world = await createDeployWorld();
    [old, next] = [await world.push('1'), await world.push('2')];
  });
  after(() => world.stop());

  /** Refused, and nothing changed: the same containers as before, and nothing pulled. */
  const refuses = async (
    containers: readonly string[] | string,
    message: RegExp,
    deployer = world.deployer(),
    only?: string[],
  ) => {
    const ids = async () =>
      (await world.docker.listContainers({ all: true, filters: { name: [world.prefix] } })).map(({ Id, State }) => Id + State);
    const before = await ids();
    const deploying = deployer.deploy(world.target(next, containers), work(only && { only }));
    await assert.rejects(deploying, { name: 'DeployRefused', message });
    assert.deepEqual(await ids(), before);
    assert.equal(await hasImage(world.docker, `${next.repository}@${next.digest}`), false);
  };

  const managed = [
    { label: 'com.docker.compose.project', who: /Docker Compose manages it .*deploy\.compose/ },
    { label: 'com.docker.swarm.task.id', who: /Docker Swarm manages it/ },
    { label: 'io.kubernetes.pod.name', who: /Kubernetes manages it/ },
  ];
  for (const { label, who } of managed) {
    it(`what carries ${label}`, async () => {
      const name = await world.run(old, { Labels: { [label]: 'x' }, starts: false });
      await refuses([name], who);
    });
  }

  it('nothing where only the image says that somebody else manages it, as those that Compose has built do', async () => {
    const labels = Object.fromEntries(managed.map(({ label }) => [label, 'x']));
    const name = await world.run(await world.push('built-by-compose', { labels }), { starts: false });
    const { running } = await world.deployer().deploy(world.target(old, [name]), work());
    assert.deepEqual(
      running.map(({ digest }) => digest),
      [old.digest],
    );
    await world.remove(name);
  });

  it('a container made with --rm', async () => {
    await refuses([await world.run(old, { HostConfig: { AutoRemove: true } })], /made with --rm/);
  });

  it('a paused container', async () => {
    const name = await world.run(old);
    await world.docker.getContainer(name).pause();
    await refuses([name], new RegExp(`docker unpause ${name}`));
    await world.docker.getContainer(name).unpause();
  });

  it('a container that does not exist, with how to make the first one, and any other with it', async () => {
    const name = await world.run(old);
    const missing = `${world.prefix}-missing`;
    const advice = new RegExp(`docker run -d --name ${missing} \\.\\.\\. ${next.repository}:2@${next.digest}`);
    await refuses([name, missing], advice);
    await refuses(`${world.prefix}=missing`, new RegExp(`docker run -d --name NAME --label ${world.prefix}=missing`));
  });

  it('a first batch where one of the stage is missing that is in none of them, as nobody found it before', async () => {
    const name = await world.run(old);
    const missing = `${world.prefix}-missing`;
    const advice = new RegExp(`expected a container named ${missing}`);
    await refuses([name, missing], advice, world.deployer(), [name]);
    await refuses([missing], advice, world.deployer(), []);
  });

  it('a name that is none of the containers of the stage', async () => {
    const name = await world.run(old);
    await refuses([name], new RegExp(`expected other among the containers of deploy.docker, found ${name}`), world.deployer(), [
      'other',
    ]);
  });

  it('an image for another platform', async () => {
    const name = await world.run(old);
    const other = { ...next, platforms: next.platforms.map((each) => ({ ...each, platform: 'plan9/mips' })) };
    await assert.rejects(world.deployer().deploy(world.target(other, [name]), work()), {
      name: 'DeployRefused',
      message: /but it is for plan9\/mips/,
    });
  });

  it('an index from which Docker chooses another image than the one that was scanned', async () => {
    const name = await world.run(old);
    const rivals = { ...next, ...(await pushRivals(world.registry, 'team/web', { busybox: true, cmd: ['sleep', '3600'] })) };
    const { Id } = await world.inspect(name);
    await assert.rejects(world.deployer().deploy(world.target(rivals, [name]), work()), {
      name: 'PlatformMissing',
      message: /expected Docker to run one of the images .* that were scanned/,
    });
    assert.equal((await world.inspect(name)).Id, Id);
  });

  it('a container whose network another one uses, or that another one is linked to', async () => {
    const shared = await world.run(old);
    const sidecar = await world.run(old, { HostConfig: { NetworkMode: `container:${shared}` } });
    await refuses([shared], new RegExp(`share what they would lose.*${sidecar} \\(its network\\)`));
    await world.docker.getContainer(sidecar).stop();
    await refuses([shared], new RegExp(`${sidecar} \\(its network\\)`));
    const target = await world.run(old);
    const linking = await world.run(old, { HostConfig: { Links: [`${target}:database`] } });
    await refuses([target], new RegExp(`${linking} is linked to it`));
  });

  it('a container whose processes or IPC another one shares, running or not, already when it looks before a merge', async () => {
    for (const [mode, what] of [
      ['PidMode', 'processes'],
      ['IpcMode', 'IPC'],
    ] as const) {
      const lent = await world.run(old, { HostConfig: { IpcMode: 'shareable' } });
      const sidecar = await world.run(old, { HostConfig: { [mode]: `container:${lent}` } });
      const pattern = new RegExp(`${sidecar} \\(its ${what}\\)`);
      await refuses([lent], pattern);
      await world.docker.getContainer(sidecar).stop();
      await refuses([lent], pattern);
      const { signal } = work();
      const looking = world.deployer().foresee?.(world.target(next, [lent]), { signal }) ?? Promise.resolve();
      await assert.rejects(looking, { name: 'DeployRefused', message: pattern });
    }
  });

  it('a container whose network, or whose lender of volumes, is gone', async () => {
    const network = await world.network();
    const name = await world.run(old, { HostConfig: { NetworkMode: network }, starts: false });
    await world.docker.getNetwork(network).remove();
    await refuses([name], new RegExp(`network ${network} of ${name}, which is gone`));
    const lender = await world.run(old, { Volumes: { '/lent': {} }, starts: false });
    const borrower = await world.run(old, { HostConfig: { VolumesFrom: [`${lender}:ro`] }, starts: false });
    await world.remove(lender);
    await refuses([borrower], new RegExp(`container ${lender}, whose .* is gone`));
  });

  it('the container that the worker itself runs in', async () => {
    const name = await world.run(old);
    const { Id } = await world.inspect(name);
    await refuses([name], /container of this worker/, world.deployer({ ownContainer: Id }));
  });

  it('a label that a container has from its image alone, which anybody can write there', async () => {
    const label = `${world.prefix}-of-image`;
    const name = await world.run(await world.push('labelled', { labels: { [label]: 'yes' } }));
    await refuses(label, /a label that a container has from its image does not count/);
    await world.remove(name);
  });

  it('a label that only the old image has, because nobody would find the new container', async () => {
    const label = `${world.prefix}-of-both`;
    const name = await world.run(old, { Labels: { [label]: 'yes' } });
    const deployer = world.deployer();
    const both = await world.push('labelled-too', { labels: { [label]: 'yes', more: '1' } });
    await deployer.deploy(world.target(both, label), work());
    assert.equal((await world.inspect(name)).Config.Labels?.[label], 'yes');
    const refusing = deployer.deploy(world.target(next, label), work());
    await assert.rejects(refusing, { name: 'DeployRefused', message: /comes from its image/ });
    await world.remove(name);
    await world.docker.getImage(`${next.repository}@${next.digest}`).remove();
  });

  it('nothing where Docker is away: that is broken, and tried again', async () => {
    const docker = new Docker({ socketPath: '/nowhere/docker.sock' });
    const deploying = world.deployer({ docker }).deploy(world.target(next, ['web']), work());
    await assert.rejects(deploying, { name: 'Error', message: /Docker does not answer/ });
  });
});
