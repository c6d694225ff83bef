import assert from 'node:assert/strict';
import type Docker from 'dockerode';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { createDeployWorld, type DeployWorld, work } from '../../support/docker-deploy.ts';
import { startDockerProxy } from '../../support/docker-proxy.ts';

/** What changes something in Docker. */
const changes = /^(POST|DELETE|PUT) /;

/**
 * Gives `act` a connection that dies for good before the n-th request that changes something, as a killed worker's does.
 * @returns that request, or undefined where there were not so many
 */
async function killedBefore(real: Docker, n: number, act: (docker: Docker) => Promise<unknown>): Promise<string | undefined> {
  let seen = 0;
  let last: string | undefined;
  const proxy = await startDockerProxy(real, async (line) => {
    if (changes.test(line)) seen += 1;
    if (seen < n) return;
    last ??= line;
    proxy.cut('');
    // Whatever is asked from now on goes nowhere.
    await new Promise(() => {});
  });
  try {
    await act(proxy.docker).catch((error: unknown) => {
      if (last === undefined) throw error;
    });
  } finally {
    await proxy.stop();
  }
  return last?.replace(/^(\w+) \/([^?]*)\S* .*$/, '$1 $2').replace(/[0-9a-f]{64}/, 'ID');
}

describe('a docker deploy that is killed', function () {
  this.timeout(120_000);
  let world: DeployWorld;
  let old: VerifiedImage;
  let next: VerifiedImage;
  /** Passed soon, so that nobody waits to see whether it stays up; more often would only start more processes. */
  const healthcheck = { test: ['CMD', 'true'], intervalMs: 400 };
  before(async () => {
    world = await createDeployWorld();
    [old, next] = [await world.push('1', { healthcheck }), await world.push('2', { healthcheck })];
    // Pulled once, so that the n-th request is the same one each time.
    await world.remove(await world.run(next));
  });
  after(() => world.stop());

  const owned = async (network: string, second: string) => {
    const name = await world.run(old, {
      Env: ['MINE=1'],
      Volumes: { '/data': {} },
      HostConfig: { NetworkMode: network, RestartPolicy: { Name: 'always' } },
      NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: ['web'] } } },
    });
    await world.docker.getNetwork(second).connect({ Container: name });
    return name;
  };
  /** As its owner made it, and running. */
  const check = async (name: string, image: VerifiedImage, networks: readonly string[]) => {
    const container = await world.inspect(name);
    assert.equal(container.State.Running, true);
    assert.equal(container.HostConfig.RestartPolicy?.Name, 'always');
    assert.ok(container.Config.Env?.includes('MINE=1'));
    assert.deepEqual(Object.keys(container.NetworkSettings.Networks ?? {}).sort(), [...networks].sort());
    const [running] = await world.deployer().running(world.target(next, [name]));
    assert.equal(running?.digest, image.digest);
  };
  for (const second of ['deploys again', 'is rolled back', 'gives way to a rollout of another image'] as const) {
    it(`at any request and then ${second} ends with one container, as its owner made it`, async () => {
      const networks = [await world.network(), await world.network()];
      const other = await world.push('3', { healthcheck });
      const seen: string[] = [];
      for (let n = 1; ; n += 1) {
        const name = await owned(networks[0] ?? '', networks[1] ?? '');
        const target = world.target(next, [name]);
        const before = await world.deployer().running(target);
        const killed = await killedBefore(world.docker, n, (docker) => world.deployer({ docker }).deploy(target, work()));
        if (killed !== undefined) seen.push(killed);
        if (second === 'is rolled back') await world.deployer().restore(target, before, work());
        else {
          const again = second === 'deploys again' ? target : world.target(other, [name], { rollout: 'rollout:web:2' });
          await world.deployer().deploy(again, work({ turn: 2 }));
          await world.deployer().settle(again);
        }
        const expected = { 'deploys again': next, 'is rolled back': old, 'gives way to a rollout of another image': other }[
          second
        ];
        await check(name, expected, networks);
        assert.deepEqual(await world.all(), [`${name}*`], `after it was killed before ${killed}`);
        await world.remove(name);
        if (killed === undefined) break;
      }
      const steps = ['containers/create', 'connect', 'stop', 'rename', 'update', 'rename', 'start'];
      assert.deepEqual(seen.filter((line) => steps.some((step) => line.includes(step))).length, steps.length, seen.join('\n'));
    });
  }

  it('while it goes back, at any request, goes back when asked again, kept or not', async () => {
    const networks = [await world.network(), await world.network()];
    for (const isSettled of [false, true]) {
      for (let n = 1; ; n += 1) {
        const name = await owned(networks[0] ?? '', networks[1] ?? '');
        const target = world.target(next, [name]);
        const before = await world.deployer().running(target);
        await world.deployer().deploy(target, work());
        if (isSettled) await world.deployer().settle(target);
        const killed = await killedBefore(world.docker, n, (docker) =>
          world.deployer({ docker }).restore(target, before, work()),
        );
        await world.deployer().restore(target, before, work());
        await check(name, old, networks);
        assert.deepEqual(await world.all(), [`${name}*`], `after it was killed before ${killed}`);
        await world.remove(name);
        if (killed === undefined) break;
      }
    }
  });
});
