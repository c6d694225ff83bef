import assert from 'node:assert/strict';
import { stateQuery } from '../../src/contracts/messages.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import { type PrivateDocker, startPrivateDocker } from '../support/private-docker.ts';
import { healthyImage } from '../support/production.ts';
import { eventually } from '../support/wait.ts';
import { startWorld, type World } from '../support/world.ts';

/** The Docker daemon of the host is restarted in the middle of a delivery. A good image is not blamed for it. */
describe('a Docker daemon that is restarted', function () {
  this.timeout(240_000);
  let world: World;
  let daemon: PrivateDocker;

  before(async () => {
    daemon = await startPrivateDocker();
    world = await startWorld({
      forge: 'git',
      production: daemon.docker,
      configuration: { docker: { host: daemon.host } },
      service: { scan: 'off', smoke: 'off' },
    });
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await world?.stop();
    await daemon?.stop();
  });

  const restartDuring = async (digest: Digest, step: string): Promise<void> => {
    await eventually(
      `${step} to run`,
      async () => {
        const state = await world
          .rollout('latest', digest)
          .query(stateQuery)
          .catch(() => undefined);
        return state?.steps.some((each) => each.step === step && each.status === 'running');
      },
      60_000,
    );
    await daemon.restart();
  };

  for (const step of ['deploy', 'watch']) {
    it(`during ${step}: the image is delivered all the same`, async () => {
      const digest = await world.push('latest', healthyImage(step));
      await restartDuring(digest, step);
      const state = await world.until('latest', digest, 'delivered', 150_000);
      assert.ok(
        state.steps.every(({ status }) => status === 'passed'),
        JSON.stringify(state.steps),
      );
      assert.ok(await world.production.runs(digest), JSON.stringify(await world.production.containers()));
    });
  }
});
