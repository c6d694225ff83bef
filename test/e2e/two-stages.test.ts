import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type Docker from 'dockerode';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { runContainer } from '../support/containers.ts';
import { ensureDocker } from '../support/docker.ts';
import { fadingImage, healthyImage, lookedAt } from '../support/production.ts';
import { startWorld, type World } from '../support/world.ts';

const stages = ['staging', 'production'] as const;

/** Two containers on one host: staging, and production behind it. */
describe('two stages', function () {
  this.timeout(180_000);
  const name = (stage: string): string => `${prefix}-${stage}`;
  const prefix = `landfall-e2e-${randomUUID().slice(0, 8)}`;
  let world: World;
  let docker: Docker;
  let good: Digest;

  before(async () => {
    docker = await ensureDocker();
    const watch = { docker: true, for: '4s', interval: '500ms', failures: 1, startPeriod: '10s' };
    world = await startWorld({
      forge: 'git',
      service: {
        scan: 'off',
        smoke: 'off',
        change: 'off',
        watch,
        rollback: 'auto',
        stages: stages.map((stage) => ({ name: stage, deploy: { docker: { container: name(stage) } } })),
      },
    });
    const first = await world.push('first', lookedAt(healthyImage('first')));
    for (const stage of stages) await runContainer(docker, name(stage), `${world.host}/team/web@${first}`);
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await world.stop();
    for (const { Id, Names } of await docker.listContainers({ all: true })) {
      if (Names.some((found) => found.includes(prefix))) await docker.getContainer(Id).remove({ force: true, v: true });
    }
  });

  const step = ({ steps }: RolloutState, stage: string, wanted: string) => {
    const found = steps.find((each) => each.stage === stage && each.step === wanted);
    assert.ok(found, `${wanted} of ${stage}`);
    return found;
  };
  const startedAt = async (stage: string): Promise<string> => (await docker.getContainer(name(stage)).inspect()).State.StartedAt;

  it('come one after the other: production begins only once staging was healthy for its time', async () => {
    good = await world.push('latest', lookedAt(healthyImage('good')));
    const state = await world.until('latest', good, 'delivered');
    const watched = step(state, 'staging', 'watch');
    const healthyForMs = Date.parse(watched.endedAt ?? '') - Date.parse(watched.startedAt ?? '');
    assert.ok(healthyForMs >= 4_000, `watched for ${healthyForMs} ms`);
    const began = step(state, 'production', 'confirm').startedAt ?? '';
    assert.ok(began >= (watched.endedAt ?? ''), `production began at ${began}, staging was watched until ${watched.endedAt}`);
  });

  it('keep from production what does not do in staging', async () => {
    const before = await startedAt('production');
    const bad = await world.push('latest', lookedAt(fadingImage('bad')));
    const state = await world.until('latest', bad, 'rolled-back');
    assert.equal(step(state, 'production', 'confirm').status, 'pending');
    assert.equal(await startedAt('production'), before);
    const { Image } = await docker.getContainer(name('staging')).inspect();
    const { RepoDigests } = await docker.getImage(Image).inspect();
    assert.ok(RepoDigests?.some((reference) => reference.endsWith(good)));
  });
});
