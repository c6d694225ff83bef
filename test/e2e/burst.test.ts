import assert from 'node:assert/strict';
import { stateQuery } from '../../src/contracts/messages.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { ensureDocker } from '../support/docker.ts';
import { healthyImage } from '../support/production.ts';
import { eventually } from '../support/wait.ts';
import { startWorld, type World } from '../support/world.ts';

describe('ten pushes of one service within seconds', function () {
  this.timeout(240_000);
  let world: World;

  before(async () => {
    // The smoke test gives all of them the time to be verified before the first asks for its turn.
    const smoke = { timeout: '60s', stayUp: '8s' };
    world = await startWorld({ forge: 'git', production: await ensureDocker(), service: { scan: 'off', smoke } });
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(() => world.stop());

  it('end with the last one delivered and the others superseded, and the stage was changed once', async () => {
    const digests: Digest[] = [];
    for (let version = 1; version <= 10; version += 1) digests.push(await world.push(`v${version}`, healthyImage(`${version}`)));
    const startedAt = performance.now();
    for (let version = 1; version <= 10; version += 1) await world.push('latest', healthyImage(`${version}`));
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < 6_000, `pushing took ${tookMs} ms`);
    const last = digests.at(-1);
    assert.ok(last);
    await world.until('latest', last, 'delivered', 180_000);
    const states = await eventually('the others to end', async () => {
      const all = await Promise.all(
        digests.map((digest) =>
          world
            .rollout('latest', digest)
            .query(stateQuery)
            .catch(() => undefined),
        ),
      );
      return all.every((state) => state === undefined || state.endedAt !== undefined) && all;
    });
    // A push that the registry had moved on from before anybody looked may have become no rollout at all.
    const others = states.slice(0, -1).filter((state): state is RolloutState => state !== undefined);
    assert.ok(others.length > 0);
    assert.deepEqual([...new Set(others.map(({ status }) => status))], ['superseded']);
    assert.ok(await world.production.runs(last));
    const merges = (await world.remote.log('main')).filter(({ message }) => message.includes('Landfall-Rollout'));
    assert.equal(merges.length, 1, 'one merge');
    const deploys = states.filter((state) => state?.steps.some(({ step, status }) => step === 'deploy' && status !== 'pending'));
    assert.equal(deploys.length, 1, 'one deploy');
  });
});
