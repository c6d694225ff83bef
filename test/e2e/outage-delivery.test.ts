import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import { stateQuery } from '../../src/contracts/messages.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import { ensureDocker } from '../support/docker.ts';
import { fadingImage, healthyImage } from '../support/production.ts';
import { startTcpGate, type TcpGate } from '../support/tcp-gate.ts';
import { eventually } from '../support/wait.ts';
import { startWorld, type World } from '../support/world.ts';

/** Registry and forge go away in the middle of a delivery. */
describe('a delivery whose registry and forge go away', function () {
  this.timeout(240_000);
  let world: World;
  let docker: Docker;
  let registryGate: TcpGate;
  let forgeGate: TcpGate;

  before(async () => {
    docker = await ensureDocker();
    world = await startWorld({
      forge: 'github',
      production: docker,
      service: { scan: 'off', smoke: 'off' },
      inFront: async (registry) => {
        registryGate = await startTcpGate(registry.url);
        return registryGate.host;
      },
      inFrontOfForge: async (url) => {
        forgeGate = await startTcpGate(url);
        return `http://${forgeGate.host}`;
      },
    });
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await world.stop();
    await registryGate.shut();
    await forgeGate.shut();
  });

  const push = async (image: Parameters<World['push']>[1]): Promise<Digest> => {
    const digest = await world.push('latest', image);
    await world.deliver('latest', digest);
    return digest;
  };
  const untilStep = async (digest: Digest, step: string): Promise<void> => {
    await eventually(
      `${step} to run`,
      async () => {
        const state = await world
          .rollout('latest', digest)
          .query(stateQuery)
          .catch(() => undefined);
        return state?.steps.some((each) => each.step === step && each.status !== 'pending');
      },
      60_000,
    );
  };
  let good: Digest;

  it('waits for a forge that is down for a minute during the merge, and merges once', async () => {
    good = await push(healthyImage('1'));
    await untilStep(good, 'merge');
    await forgeGate.shut();
    await pause(60_000);
    await forgeGate.open();
    const state = await world.until('latest', good, 'delivered', 150_000);
    assert.equal(state.steps.filter(({ step, status }) => step === 'merge' && status === 'passed').length, 1);
    const merges = world.github.requests.filter(({ operation, status }) => operation === 'pulls/merge' && status === 200);
    assert.equal(merges.length, 1);
    assert.ok(await world.production.runs(good));
  });

  it('brings the running system back while registry and forge are both down, and the repository when they are back', async () => {
    const bad = await push(fadingImage('2'));
    await untilStep(bad, 'watch');
    await registryGate.shut();
    await forgeGate.shut();
    await eventually('the good image to run again', () => world.production.runs(good), 60_000);
    const health = await fetch(`${world.production.url}/health`);
    assert.equal(health.status, 200);
    await registryGate.open();
    await forgeGate.open();
    const state = await world.until('latest', bad, 'rolled-back', 150_000);
    assert.match(state.reason ?? '', /healthy \d+\.\d s after the verdict/);
    const { git } = world.github.repository('team/deployment');
    assert.ok((await git.git(['show', 'main:docker-compose.yml'])).includes(`latest@${good}`));
  });
});
