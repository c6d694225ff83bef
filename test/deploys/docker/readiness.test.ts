import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import Docker from 'dockerode';
import { judge } from '../../../src/deploys/docker/readiness.ts';
import { formatDeployLabels, isWantedRunning } from '../../../src/deploys/docker/slot.ts';
import { requireAlive } from '../../../src/platform/docker/connect.ts';
import type { Container } from '../../../src/platform/docker/container.ts';
import { ensureDocker } from '../../support/docker.ts';
import { createDeployWorld, type DeployWorld, work } from '../../support/docker-deploy.ts';
import { eventually } from '../../support/wait.ts';

describe('a Docker that is being stopped', function () {
  this.timeout(30_000);

  /** Passes bytes to the real daemon, and as one that shuts down does: takes no new connection, but answers over those it has. */
  async function startStoppable(real: Docker) {
    const target: unknown = real.modem;
    const { socketPath } = target as { socketPath: string };
    const server = createServer((client) => {
      const daemon = connect(socketPath);
      client.pipe(daemon).pipe(client);
      client.on('error', () => daemon.destroy());
      daemon.on('error', () => client.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
    const docker = new Docker({ host: '127.0.0.1', port: address.port, protocol: 'http', socketPath: undefined });
    return { docker, goDown: () => void server.close() };
  }

  it('is told from one that is there to stay', async () => {
    const { docker, goDown } = await startStoppable(await ensureDocker());
    await requireAlive(docker);
    await docker.ping();
    goDown();
    await docker.ping();
    await assert.rejects(requireAlive(docker), /being stopped or restarted/);
  });

  describe('during a deploy', () => {
    let world: DeployWorld;
    before(async () => {
      world = await createDeployWorld();
    });
    after(() => world.stop());

    it('kills containers, which is no verdict on their image: it is deployed again', async () => {
      const old = await world.push('1');
      const healthcheck = { test: ['CMD', 'test', '-e', '/up'], intervalMs: 200, retries: 1000 };
      const next = await world.push('2', { healthcheck });
      const name = await world.run(old);
      const { docker, goDown } = await startStoppable(world.docker);
      const target = world.target(next, [name]);
      const events = await world.docker.getEvents({ filters: { type: ['container'], container: [name], event: ['start'] } });
      const started = once(events, 'data');
      const deploying = world.deployer({ docker }).deploy(target, work());
      const outcome = deploying.then(
        () => 'deployed',
        (error: Error) => `${error.name}: ${error.message}`,
      );
      await started;
      goDown();
      await world.docker.getContainer(name).kill();
      assert.match(await outcome, /^Error: Docker (is being stopped|does not answer)/);
      const again = world.deployer().deploy(target, work());
      await eventually(`${name} to run again`, async () => (await world.inspect(name)).State.Running);
      const exec = await world.docker.getContainer(name).exec({ Cmd: ['touch', '/up'] });
      await exec.start({ Detach: true });
      assert.equal((await again).changed, true);
    });
  });
});

describe('whether a container is wanted running', () => {
  const running = { Status: 'running', Running: true, Restarting: false, OOMKilled: false, ExitCode: 0, Error: '' };
  const exited = { ...running, Status: 'exited', Running: false };
  const mark = { rollout: 'r', turn: 1, at: '', replaces: 'x', starts: true, restart: 'no' };
  const cases: readonly [what: string, state: object, policy: string, wanted: boolean, labels?: Record<string, string>][] = [
    ['runs', running, 'no', true],
    ['is restarted by Docker', { ...running, Restarting: true }, 'always', true],
    ['ended well, as by a person', exited, 'no', false],
    ['was killed', { ...exited, ExitCode: 137 }, 'no', false],
    ['was ended by SIGTERM', { ...exited, ExitCode: 143 }, 'on-failure', false],
    ['fell over', { ...exited, ExitCode: 1 }, 'no', true],
    ['fell over too often', { ...exited, ExitCode: 1 }, 'on-failure', true],
    ['would have been restarted, had nobody stopped it', { ...exited, ExitCode: 1 }, 'always', false],
    ['ran out of memory', { ...exited, ExitCode: 137, OOMKilled: true }, 'no', true],
    ['could not be started with Docker', { ...exited, ExitCode: 128, Error: 'port is taken' }, 'always', true],
    ['was never started', { ...exited, Status: 'created' }, 'always', false],
    ['was made by a deploy that was cut off', { ...exited, Status: 'created' }, 'no', true, formatDeployLabels(mark)],
  ];
  for (const [what, state, Name, wanted, Labels] of cases) {
    it(`${wanted ? 'it is' : 'it is not'} where it ${what}`, () => {
      const container: unknown = { State: state, HostConfig: { RestartPolicy: { Name } }, Config: { Labels } };
      assert.equal(isWantedRunning(container as Container), wanted);
    });
  }
});

describe('the verdict on a container that was started', () => {
  const running = { Status: 'running', Running: true, Restarting: false, OOMKilled: false, ExitCode: 0, Error: '' };
  const verdict = (state: object, RestartCount = 0, waitedMs = 0) =>
    judge({ State: { ...running, ...state } as Container['State'], RestartCount }, { restarts: 0, waitedMs, timeoutMs: 9_000 });
  it('waits for its HEALTHCHECK as long as it may, and without one for a moment', () => {
    assert.equal(verdict({ Health: { Status: 'starting' } }, 0, 8_999), undefined);
    assert.match(verdict({ Health: { Status: 'starting' } }, 0, 9_000) ?? '', /not passed within 9 s/);
    assert.equal(verdict({ Health: { Status: 'healthy' } }), 'ready');
    assert.equal(verdict({}, 0, 1_999), undefined);
    assert.equal(verdict({}, 0, 2_000), 'ready');
  });
  it('is no for one that ended, also where Docker has started it again, and where it is healthy for now', () => {
    assert.match(verdict({ Running: false, ExitCode: 3 }) ?? '', /code 3/);
    assert.match(verdict({ Restarting: true, ExitCode: 4 }) ?? '', /code 4/);
    assert.match(verdict({ Running: false, OOMKilled: true, ExitCode: 137 }) ?? '', /out of memory/);
    assert.match(verdict({ Health: { Status: 'healthy' } }, 1) ?? '', /start it again/);
    assert.match(verdict({ Health: { Status: 'unhealthy' } }) ?? '', /unhealthy/);
  });
});
