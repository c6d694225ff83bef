import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { RunningImage } from '../../../src/domain/outcomes.ts';
import { reservePort } from '../../../src/platform/ports.ts';
import { createDeployWorld, type DeployWorld, work } from '../../support/docker-deploy.ts';
import { startDockerProxy } from '../../support/docker-proxy.ts';
import { slowest } from '../../support/time-limits.cjs';

describe('a docker deploy', function () {
  this.timeout(60_000);
  let world: DeployWorld;
  beforeEach(async () => {
    world = await createDeployWorld();
  });
  afterEach(() => world.stop());

  it('recreates a container with the new image and keeps the old one, stopped, until it is settled', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const name = await world.run(old, { Env: ['MINE=1'] });
    const target = world.target(next, [name]);
    const deployer = world.deployer();
    const [ran] = await deployer.running(target);
    assert.equal(ran?.digest, old.digest);

    const deployed = await deployer.deploy(target, work({ turn: 7 }));
    assert.equal(deployed.changed, true);
    assert.equal(deployed.text, `recreated ${name}`);
    assert.deepEqual(deployed.running, await deployer.running(target));
    const [running] = deployed.running;
    assert.equal(running?.reference, `${next.repository}:2@${next.digest}`);
    assert.equal(running?.digest, next.digest);
    assert.deepEqual(await world.all(), [`${name}*`, `${name}-landfall-before`]);
    const container = await world.inspect(name);
    assert.deepEqual([...(container.Config.Env ?? [])].sort(), ['MINE=1', 'PATH=/bin:/usr/bin', 'VERSION=2']);
    assert.equal(container.Config.Labels?.['landfall.deployed.rollout'], 'rollout:web:1');
    assert.equal(container.Config.Labels?.['landfall.deployed.turn'], '7');
    assert.equal(container.Config.Labels?.['landfall.rollout'], undefined);

    await deployer.settle(target);
    await deployer.settle(target);
    assert.deepEqual(await world.all(), [`${name}*`]);
  });

  it('changes nothing where the digest runs already, also when asked twice', async () => {
    const image = await world.push('1');
    const name = await world.run(image);
    const before = await world.inspect(name);
    const target = world.target(image, [name]);
    for (const _ of [1, 2]) {
      const deployed = await world.deployer().deploy(target, work());
      assert.equal(deployed.changed, false);
      assert.equal(deployed.text, `${name} runs it already`);
    }
    assert.equal((await world.inspect(name)).Id, before.Id);
  });

  it('knows the digest of a container that was started by tag, and after its image lost its name', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const tagged = { repo: `${old.repository}`, tag: 'by-tag' };
    const name = await world.run(old);
    await world.docker.getImage(`${old.repository}@${old.digest}`).tag(tagged);
    const byTag = await world.run(old, { Image: `${tagged.repo}:${tagged.tag}` });
    const target = world.target(next, [name, byTag]);
    const running = await world.deployer().running(target);
    assert.deepEqual(
      running.map(({ digest }) => digest),
      [old.digest, old.digest],
    );
    assert.equal(running[1]?.reference, `${tagged.repo}:by-tag`);
    // The image stays, because it has another name and containers; what it loses is its digest.
    await world.docker.getImage(`${old.repository}@${old.digest}`).remove({ force: true });
    const [nameless] = await world.deployer().running(target);
    assert.equal(nameless?.digest, old.digest);
  });

  it('is asked again by the same rollout: the container is the one that it made, and it says so', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const name = await world.run(old);
    const target = world.target(next, [name]);
    await world.deployer().deploy(target, work());
    const { Id } = await world.inspect(name);
    const again = await world.deployer().deploy(target, work());
    assert.equal(again.changed, true);
    assert.equal((await world.inspect(name)).Id, Id);
    assert.deepEqual(await world.all(), [`${name}*`, `${name}-landfall-before`]);
  });

  it('of a second rollout goes back to what the first one brought, and leaves no marks of it', async () => {
    const [one, two, three] = [await world.push('1'), await world.push('2'), await world.push('3')];
    const name = await world.run(one);
    const deployer = world.deployer();
    await deployer.deploy(world.target(two, [name]), work());
    const target = world.target(three, [name], { rollout: 'rollout:web:2' });
    const before = await deployer.running(target);
    await deployer.deploy(target, work({ turn: 2 }));
    const marks = Object.keys((await world.inspect(name)).Config.Labels ?? {}).filter((label) => label.startsWith('landfall.'));
    assert.equal(marks.length, 6);
    await deployer.restore(target, before, work({ turn: 2 }));
    assert.deepEqual(
      (await deployer.running(target)).map(({ digest }) => digest),
      [two.digest],
    );
    assert.deepEqual(await world.all(), [`${name}*`]);
  });

  it('does only those that are meant, found by label, and no others', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const label = `${world.prefix}=web`;
    const names = [];
    for (const _ of [1, 2, 3]) names.push(await world.run(old, { Labels: { [world.prefix]: 'web' } }));
    await world.run(old);
    const [canary = '', second = '', third = ''] = names;
    const deployer = world.deployer();
    const target = world.target(next, label);
    const digests = async () => (await deployer.running(target)).map(({ digest }) => digest);
    await deployer.deploy(target, work({ only: [canary] }));
    assert.deepEqual(await digests(), [next.digest, old.digest, old.digest]);
    const rest = await deployer.deploy(target, work({ only: [second, third] }));
    assert.deepEqual(
      rest.running.map(({ name }) => name),
      [second, third],
    );
    assert.deepEqual(await digests(), [next.digest, next.digest, next.digest]);
    await deployer.settle(target);
    assert.deepEqual(await world.all(), [...names.map((name) => `${name}*`), `${world.prefix}-web-4*`]);
  });

  it('goes by no mark that the image has: it does not say how a deploy went on, or is to', async () => {
    const labels = Object.fromEntries(
      Object.entries({
        rollout: 'rollout:web:1',
        turn: '1',
        at: '2024-05-01T12:00:00.000Z',
        'instead-of': 'x',
        starts: 'true',
      }).map(([key, value]) => [`landfall.deployed.${key}`, value]),
    );
    const [marked, next] = [
      await world.push('marked', { labels }),
      await world.push('marked-too', { labels: { ...labels, more: '1' } }),
    ];
    const created = await world.run(marked, { starts: false });
    const running = await world.run(marked);
    const deployed = await world.deployer().deploy(world.target(next, [created, running]), work());
    assert.equal(deployed.text, `recreated ${created}, and left it stopped as it was; recreated ${running}`);
    assert.deepEqual(
      (await world.all()).filter((name) => !name.includes('landfall')),
      [created, `${running}*`],
    );
  });

  it('leaves a container stopped that its owner stopped, and starts one that fell over', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const stopped = await world.run(old, { HostConfig: { RestartPolicy: { Name: 'always' } } });
    await world.docker.getContainer(stopped).stop();
    const created = await world.run(old, { starts: false });
    const crashed = await world.run(old, { Entrypoint: ['sh', '-c', 'test "$VERSION" = 2 && exec sleep 3600; exit 3'], Cmd: [] });
    await world.docker.getContainer(crashed).wait();
    const target = world.target(next, [stopped, created, crashed]);
    const deployed = await world.deployer().deploy(target, work());
    assert.match(deployed.text, new RegExp(`recreated ${stopped}, and left it stopped as it was`));
    assert.deepEqual(
      deployed.running.map(({ digest }) => digest),
      [next.digest, next.digest, next.digest],
    );
    assert.deepEqual(
      (await world.all()).filter((name) => !name.includes('landfall')),
      [stopped, created, `${crashed}*`].sort(),
    );
    assert.equal((await world.inspect(stopped)).HostConfig.RestartPolicy?.Name, 'always');
    await world.deployer().settle(target);
    const again = await world.deployer().deploy(target, work());
    assert.equal(again.changed, false);
    assert.match(again.text, new RegExp(`${stopped} has it already, and is left stopped`));
  });

  it('takes the restart policy from the old one while it is kept, because Docker would start it with itself', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const policy = { Name: 'on-failure', MaximumRetryCount: 4 };
    const name = await world.run(old, { HostConfig: { RestartPolicy: policy } });
    const target = world.target(next, [name]);
    const before = await world.deployer().running(target);
    await world.deployer().deploy(target, work());
    assert.equal((await world.inspect(`${name}-landfall-before`)).HostConfig.RestartPolicy?.Name, 'no');
    assert.deepEqual((await world.inspect(name)).HostConfig.RestartPolicy, policy);
    await world.deployer().restore(target, before, work());
    assert.deepEqual((await world.inspect(name)).HostConfig.RestartPolicy, policy);
  });

  it('waits until the HEALTHCHECK of the new image is passed', async () => {
    const old = await world.push('1');
    const next = await world.push('2', {
      cmd: ['sh', '-c', 'sleep 1; touch /up; exec sleep 3600'],
      healthcheck: { test: ['CMD', 'test', '-e', '/up'], intervalMs: 300, retries: 30 },
    });
    const name = await world.run(old);
    await world.deployer().deploy(world.target(next, [name]), work());
    assert.equal((await world.inspect(name)).State.Health?.Status, 'healthy');
  });

  const bad = [
    {
      what: 'exits',
      options: { cmd: ['sh', '-c', 'echo "cannot reach $DATABASE with $API_TOKEN"; exit 3'] },
      message: /exited with code 3; its log ends with: cannot reach postgres:\/\/me:\[masked\]@db with \[masked\]/,
      details: { exitCode: 3 },
    },
    {
      what: 'turns unhealthy',
      options: { healthcheck: { test: ['CMD-SHELL', 'echo no database; false'], intervalMs: 200, retries: 2 } },
      message: /HEALTHCHECK turned unhealthy: no database/,
      details: {},
    },
    {
      what: 'is not healthy in time',
      options: { healthcheck: { test: ['CMD', 'false'], intervalMs: 200, retries: 1000 } },
      message: /HEALTHCHECK was not passed within 3 s/,
      details: {},
      timeoutMs: 3_000,
    },
    {
      what: 'is started again and again',
      options: { cmd: ['sh', '-c', 'exit 4'] },
      policy: 'always',
      message: /exited with code 4|Docker had to start it again/,
      details: {},
    },
    {
      what: 'cannot be started',
      options: { cmd: ['no-such-program'] },
      message: /Docker could not start it: .*no-such-program/,
      details: {},
    },
  ];
  for (const { what, options, message, details, policy, timeoutMs = 20_000 } of bad) {
    it(`fails for a container that ${what}, with why, and restore brings the old one back within seconds`, async () => {
      const [old, next] = [await world.push('1'), await world.push('2', options)];
      const name = await world.run(old, {
        Env: ['API_TOKEN=s3cr3t-value', 'DATABASE=postgres://me:hidden@db'],
        ...(policy === undefined ? {} : { HostConfig: { RestartPolicy: { Name: policy } } }),
      });
      const id = (await world.inspect(name)).Id;
      const target = world.target(next, [name], { timeoutMs });
      const deployer = world.deployer();
      const before = await deployer.running(target);
      const failure = await deployer.deploy(target, work()).then(
        () => assert.fail('expected it to fail'),
        (error) => error,
      );
      assert.equal(failure.name, 'DeployFailed');
      assert.match(failure.message, message);
      assert.ok(!JSON.stringify([failure.message, failure.details]).match(/s3cr3t|hidden/));
      for (const [key, value] of Object.entries(details)) assert.equal(failure.details[0][key], value);

      const startedAt = performance.now();
      const restored = await deployer.restore(target, before, work());
      const tookMs = performance.now() - startedAt;
      assert.ok(tookMs < 5_000 * slowest, `took ${tookMs} ms`);
      assert.equal(restored.changed, true);
      assert.equal((await world.inspect(name)).Id, id);
      assert.deepEqual(await world.all(), [`${name}*`]);
    });
  }

  it('blames the host for a port that somebody else took meanwhile, and has the old one run again', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const port = await reservePort();
    const name = await world.run(old, {
      ExposedPorts: { '80/tcp': {} },
      HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] } },
    });
    const { Id } = await world.inspect(name);
    const thief = createServer();
    const proxy = await startDockerProxy(world.docker, async (line) => {
      if (!/POST \/\S*containers\/\w+\/start/.test(line)) return;
      if (line.includes(Id)) thief.close();
      else if (!thief.listening) await once(thief.listen(port, '127.0.0.1'), 'listening');
    });
    try {
      const deploying = world.deployer({ docker: proxy.docker }).deploy(world.target(next, [name]), work());
      const message = /address already in use.*this host's trouble.*what ran before runs again/;
      await assert.rejects(deploying, { name: 'DeployRefused', message });
      assert.equal((await world.inspect(name)).Id, Id);
      assert.deepEqual(
        (await world.all()).filter((each) => each.startsWith(name)),
        [`${name}*`],
      );
    } finally {
      thief.close();
      await proxy.stop();
    }
    assert.equal((await world.deployer().deploy(world.target(next, [name]), work())).changed, true);
  });

  it('of several fails for the bad one only after the others are done', async () => {
    const old = await world.push('1');
    const next = await world.push('2', { cmd: ['sh', '-c', '[ "$BAD" ] && exit 3; exec sleep 3600'] });
    const [good, bad] = [await world.run(old), await world.run(old, { Env: ['BAD=1'] })];
    const target = world.target(next, [bad, good]);
    const before: readonly RunningImage[] = await world.deployer().running(target);
    await assert.rejects(world.deployer().deploy(target, work()), { name: 'DeployFailed', message: new RegExp(bad) });
    assert.ok((await world.all()).includes(`${good}*`));
    await world.deployer().restore(target, before, work());
    const running = await world.deployer().running(target);
    assert.deepEqual(
      running.map(({ digest }) => digest),
      [old.digest, old.digest],
    );
  });

  it('stops where it is cancelled before anything happened to the old container', async () => {
    const [old, next] = [await world.push('1'), await world.push('2')];
    const name = await world.run(old);
    const stop = new AbortController();
    stop.abort(new Error('cancelled'));
    await assert.rejects(world.deployer().deploy(world.target(next, [name]), work({ signal: stop.signal })), /cancelled/);
    assert.deepEqual(await world.all(), [`${name}*`]);
  });
});
