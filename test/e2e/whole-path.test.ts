import assert from 'node:assert/strict';
import { ensureDocker } from '../support/docker.ts';
import { healthyImage } from '../support/production.ts';
import { startWorld, type World } from '../support/world.ts';

/** As `src/process/pauses.ts` logs it. */
interface Pause {
  readonly pauseMs: number;
  /** Of that, how long the thread was at work: the rest is the machine's, which runs other things beside it. */
  readonly processorMs: number;
  readonly steps: readonly unknown[];
}

const longestMs = 200;

/** From the push to the registry to the rollback, everything on: it is what a service does all day. */
describe('the whole path of a push', function () {
  this.timeout(180_000);
  let world: World;

  before(async () => {
    world = await startWorld({
      forge: 'git',
      production: await ensureDocker(),
      service: { watch: { docker: true, for: '4s', interval: '250ms', failures: 3, startPeriod: '10s' } },
    });
    // What Docker itself starts again is hardly ever seen as exited.
    const file = (await world.remote.read('main', 'docker-compose.yml')).replace('restart: unless-stopped', 'restart: "no"');
    await world.remote.commit('main', { 'docker-compose.yml': file }, 'Restart nothing');
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(() => world.stop());

  const pauses = (): Pause[] => {
    const lines = world.landfall().output().split('\n');
    return lines.filter((line) => line.includes('"pauseMs":')).map((line) => JSON.parse(line) as Pause);
  };

  it('is gone without a pause of the process, also where a container has exited', async () => {
    const good = await world.push('latest', healthyImage('good'));
    await world.until('latest', good, 'delivered');
    const bad = { ...healthyImage('bad'), cmd: ['sh', '-c', 'sleep 3; exit 3'] };
    const state = await world.until('latest', await world.push('latest', bad), 'rolled-back');
    const passed = state.steps.filter(({ status }) => status === 'passed').map(({ step }) => step);
    for (const step of ['verify', 'scan', 'smoke', 'propose', 'merge', 'deploy', 'rollback'] as const)
      assert.ok(passed.includes(step), step);
    assert.ok(await world.production.runs(good));
    const ours = pauses().filter(({ processorMs }) => processorMs > longestMs);
    assert.deepEqual(ours, []);
  });
});
