import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type Docker from 'dockerode';
import { laneQuery } from '../../src/contracts/messages.ts';
import { laneId } from '../../src/contracts/start-options.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import { runContainer } from '../support/containers.ts';
import { ensureDocker } from '../support/docker.ts';
import { fadingImage, healthyImage, lookedAt } from '../support/production.ts';
import { slowest } from '../support/time-limits.cjs';
import { startWorld, type World } from '../support/world.ts';

/** A host without a deployment repository: three containers that somebody once started by hand. */
describe('three containers on a host', function () {
  this.timeout(180_000);
  const names = ['a', 'b', 'c'].map((letter) => `landfall-e2e-${randomUUID().slice(0, 8)}-${letter}`);
  let world: World;
  let docker: Docker;
  let good: Digest;

  before(async () => {
    docker = await ensureDocker();
    world = await startWorld({
      forge: 'git',
      service: {
        scan: 'off',
        smoke: 'off',
        change: 'off',
        deploy: { docker: { containers: names, canary: 1 } },
        watch: { docker: true, for: '3s', interval: '500ms', failures: 1, startPeriod: '10s' },
        rollback: 'auto',
      },
    });
    const first = await world.push('first', lookedAt(healthyImage('first')));
    for (const name of names) {
      await runContainer(docker, name, `${world.host}/team/web@${first}`, { Env: [`ONLY_HERE=${name}`] });
    }
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await world.stop();
    for (const { Id } of await all()) await docker.getContainer(Id).remove({ force: true, v: true });
  });

  /** Those that were kept to go back to, too. */
  const all = async (): Promise<Docker.ContainerInfo[]> => {
    const listed = await docker.listContainers({ all: true });
    return listed.filter(({ Names }) => Names.some((found) => names.some((name) => found.includes(name))));
  };
  const describeAll = async (): Promise<{ env: string[]; digests: string[]; started: string; running: boolean }[]> =>
    Promise.all(
      names.map(async (name) => {
        const { Config, Image, State } = await docker.getContainer(name).inspect();
        const { RepoDigests } = await docker.getImage(Image).inspect();
        const env = Config.Env.filter((line) => line.startsWith('ONLY_HERE'));
        const digests = (RepoDigests ?? []).map((each) => each.slice(each.indexOf('@') + 1));
        return { env, digests, started: State.StartedAt, running: State.Running };
      }),
    );

  it('all get a good image, keep what was set on them, and leave nothing behind', async () => {
    good = await world.push('latest', lookedAt(healthyImage('good')));
    await world.until('latest', good, 'delivered');
    const now = await describeAll();
    assert.deepEqual(
      now.map(({ env }) => env),
      names.map((name) => [`ONLY_HERE=${name}`]),
    );
    assert.ok(now.every(({ digests, running }) => running && digests.includes(good)));
    assert.equal((await all()).length, 3);
  });

  it('get a bad one no further than to the first, which is back within seconds', async () => {
    const before = await describeAll();
    const bad = await world.push('latest', lookedAt(fadingImage('bad', 2)));
    const state = await world.until('latest', bad, 'rolled-back');
    const after = await describeAll();
    assert.deepEqual(
      after.slice(1).map(({ started }) => started),
      before.slice(1).map(({ started }) => started),
      'the others were never touched',
    );
    assert.ok(after.every(({ digests, running }) => running && digests.includes(good)));
    const [, seconds] = /healthy (\d+\.\d) s after the verdict/.exec(state.reason ?? '') ?? [];
    assert.ok(Number(seconds) < 10 * slowest, `${seconds} s from the verdict to healthy again: ${state.reason}`);
    assert.equal((await all()).length, 3);
    const lane = await world.temporal.client.workflow.getHandle(laneId('web')).query(laneQuery);
    assert.ok(lane.quarantine[bad]);
    assert.equal(lane.stages.production?.running?.digest, good);
  });
});
