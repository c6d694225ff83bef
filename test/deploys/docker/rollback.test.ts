import assert from 'node:assert/strict';
import { hasImage } from '../../support/docker.ts';
import { createDeployWorld, type DeployWorld, work } from '../../support/docker-deploy.ts';

describe('a docker restore', function () {
  this.timeout(60_000);
  let world: DeployWorld;
  beforeEach(async () => {
    world = await createDeployWorld();
  });
  afterEach(() => world.stop());

  it('starts the kept container again, the same one, without the registry, and within seconds', async () => {
    // It takes ten seconds to stop by itself, which a bad container is not given.
    const stubborn = { config: { StopSignal: 'SIGUSR1' } };
    const [old, next] = [await world.push('1'), await world.push('2', stubborn)];
    const name = await world.run(old);
    const { Id } = await world.inspect(name);
    const target = world.target(next, [name]);
    const deployer = world.deployer();
    const before = await deployer.running(target);
    await deployer.deploy(target, work());
    await world.registry.stop();
    const startedAt = performance.now();
    const restored = await deployer.restore(target, before, work());
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < 5_000, `took ${tookMs} ms`);
    assert.equal(restored.text, `started ${name} again as it was`);
    assert.deepEqual(restored.running, before);
    assert.equal((await world.inspect(name)).Id, Id);
    const again = await deployer.restore(target, before, work());
    assert.equal(again.changed, false);
    assert.deepEqual(await world.all(), [`${name}*`]);
  });

  it('of hours later recreates it from the image on the host, with the settings of now, and without the registry', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const name = await world.run(old, { Env: ['MINE=1'] });
    const target = world.target(next, [name]);
    const deployer = world.deployer();
    const before = await deployer.running(target);
    await deployer.deploy(target, work());
    await deployer.settle(target);
    await world.registry.stop();
    const restored = await deployer.restore(target, before, work());
    assert.equal(restored.running[0]?.digest, old.digest);
    const { Env, Image } = (await world.inspect(name)).Config;
    assert.equal(Image, `${old.repository}@${old.digest}`);
    assert.deepEqual([...(Env ?? [])].sort(), ['MINE=1', 'PATH=/bin:/usr/bin', 'VERSION=1']);
    assert.deepEqual(await world.all(), [`${name}*`]);
    assert.equal((await deployer.restore(target, before, work())).changed, false);
  });

  it('pulls the image by its digest where somebody removed it, whatever its tag is by now', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const name = await world.run(old);
    const target = world.target(next, [name]);
    const deployer = world.deployer();
    const [ran] = await deployer.running(target);
    await deployer.deploy(target, work());
    await deployer.settle(target);
    await world.docker.getImage(`${old.repository}@${old.digest}`).remove();
    assert.ok(ran);
    const tagged = { ...ran, reference: `${old.repository}:moved` };
    await world.push('moved');
    const restored = await deployer.restore(target, [tagged], work());
    assert.equal(restored.running[0]?.digest, old.digest);
    assert.equal(restored.running[0]?.reference, `${old.repository}:moved@${old.digest}`);
  });

  it('goes back by id to an image without a digest, and says so where that is gone', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const source = await world.run(old);
    const local = { repo: world.prefix, tag: 'built-here' };
    await world.docker.getContainer(source).commit({ ...local, changes: 'LABEL built=here' });
    const name = await world.run(old, { Image: `${local.repo}:${local.tag}` });
    const target = world.target(next, [name]);
    const deployer = world.deployer();
    const before = await deployer.running(target);
    assert.equal(before[0]?.digest, undefined);
    await deployer.deploy(target, work());
    await deployer.settle(target);
    const restored = await deployer.restore(target, before, work());
    assert.equal(restored.running[0]?.imageId, before[0]?.imageId);

    await deployer.deploy(target, work());
    await deployer.settle(target);
    await world.docker.getImage(before[0]?.imageId ?? '').remove();
    assert.equal(await hasImage(world.docker, `${local.repo}:${local.tag}`), false);
    await assert.rejects(deployer.restore(target, before, work()), {
      name: 'DeployRefused',
      message: /no digest tells what it was/,
    });
    assert.equal((await deployer.running(target))[0]?.digest, next.digest);
  });

  it('leaves stopped what was stopped', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const name = await world.run(old, { starts: false, HostConfig: { RestartPolicy: { Name: 'always' } } });
    const target = world.target(next, [name]);
    const deployer = world.deployer();
    const before = await deployer.running(target);
    await deployer.deploy(target, work());
    await deployer.restore(target, before, work());
    assert.deepEqual(await world.all(), [name]);
    assert.equal((await world.inspect(name)).HostConfig.RestartPolicy?.Name, 'always');
    assert.equal((await deployer.running(target))[0]?.digest, old.digest);
  });

  it('has nothing to go back to where nothing ran before', async () => {
    const next = await world.push('2');
    const target = world.target(next, ['nobody']);
    await assert.rejects(world.deployer().restore(target, [], work()), { name: 'NothingBefore' });
    const before = [{ name: 'a', reference: `${next.repository}:1` }];
    await assert.rejects(world.deployer().restore(target, before, work({ only: ['b'] })), { name: 'NothingBefore' });
    const gone = [{ name: `${world.prefix}-gone`, reference: `${next.repository}:1` }];
    await assert.rejects(world.deployer().restore(target, gone, work()), {
      name: 'DeployRefused',
      message: /somebody removed it/,
    });
  });

  it('starts what it was before even where a person removed the new container', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const name = await world.run(old, { HostConfig: { RestartPolicy: { Name: 'always' } } });
    const target = world.target(next, [name]);
    const deployer = world.deployer();
    const before = await deployer.running(target);
    await deployer.deploy(target, work());
    await world.docker.getContainer(name).remove({ force: true });
    assert.deepEqual(await deployer.running(target), before);
    await deployer.settle(target);
    assert.match(world.warnings.join(), /so nothing is removed/);
    await deployer.restore(target, before, work());
    assert.deepEqual(await world.all(), [`${name}*`]);
    assert.equal((await world.inspect(name)).HostConfig.RestartPolicy?.Name, 'unless-stopped');
    assert.match(world.warnings.join(), /nobody knows its restart policy/);
  });
});
