import assert from 'node:assert/strict';
import type Docker from 'dockerode';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { type CollectedSpan, type Collector, startCollector } from '../support/collector.ts';
import { ensureDocker } from '../support/docker.ts';
import type { ImageOptions } from '../support/images.ts';
import { fadingImage, healthyImage } from '../support/production.ts';
import { untilScheduled } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { startWorld, type World } from '../support/world.ts';

/** The worker dies by SIGKILL in every step of a delivery and of a rollback, one after the other; each time the end is the same. */
describe('a worker that is killed while it delivers', function () {
  this.timeout(150_000);
  let world: World;
  let collector: Collector;
  let docker: Docker;
  let version = 0;
  let running: Digest;

  before(async () => {
    docker = await ensureDocker();
    collector = await startCollector();
    world = await startWorld({
      ...{ forge: 'git', production: docker, service: { scan: 'off', smoke: 'off' } },
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    });
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await world.stop();
    await collector.stop();
  });

  const push = async (image: (version: string) => ImageOptions): Promise<Digest> => {
    version += 1;
    return await world.push('latest', image(`${version}`));
  };

  /** Kills the worker in the n-th run of an activity, and starts another one. The first kill is noticed as by what ships. */
  const killDuring = async (digest: Digest, activity: string, nth = 1): Promise<void> => {
    await untilScheduled(world.temporal, world.rollout('latest', digest).workflowId, activity, { nth });
    // What a killed worker did not send yet is lost, and this one is looked at below.
    if (activity === 'watchStage' && nth === 1) await untilCollected(digest, 'deploy');
    await world.landfall().kill();
    await world.start('quick');
  };

  const spansOf = (digest: Digest): CollectedSpan[] =>
    collector.spans.filter(({ attributes }) => attributes['landfall.digest'] === digest);
  const untilCollected = (digest: Digest, name: string): Promise<CollectedSpan> =>
    eventually(`the span ${name}`, async () => spansOf(digest).find((span) => span.name === name), 60_000);

  it('is noticed within ten seconds by what ships: what a step asks of Temporal is a constant', async () => {
    const digest = await push(healthyImage);
    await killDuring(digest, 'propose');
    await world.until('latest', digest, 'delivered');
    const { events } = await world.rollout('latest', digest).fetchHistory();
    const timeouts = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) =>
      scheduled?.activityType?.name === 'propose' ? [Number(scheduled.heartbeatTimeout?.seconds)] : [],
    );
    assert.deepEqual(timeouts, [10]);
    await assertDelivered(digest);
  });

  const commitsOf = async (digest: Digest): Promise<string[]> => {
    const log = await world.remote.log('main');
    return log.filter(({ message }) => message.includes(`${digest}`)).map(({ message }) => message.split('\n', 1)[0] ?? '');
  };
  const assertDelivered = async (digest: Digest): Promise<void> => {
    assert.deepEqual(await world.remote.branches(), ['main'], 'the branch is deleted');
    assert.ok((await world.remote.read('main', 'docker-compose.yml')).includes(`latest@${digest}`));
    assert.ok(await world.production.runs(digest), JSON.stringify(await world.production.containers()));
    assert.equal((await commitsOf(digest)).length, 1, 'one merge');
  };

  for (const activity of ['propose', 'snapshotStage', 'mergeChange', 'deployStage', 'watchStage']) {
    it(`in ${activity}, delivers all the same: one merge, one container`, async () => {
      const digest = await push(healthyImage);
      await killDuring(digest, activity);
      const state = await world.until('latest', digest, 'delivered');
      assert.ok(
        state.steps.every(({ status }) => status === 'passed'),
        JSON.stringify(state.steps),
      );
      await assertDelivered(digest);
      running = digest;
    });
  }

  it('leaves one trace, from the webhook to healthy, by both workers, with a parent for each span', async () => {
    const run = await untilCollected(running, 'RunWorkflow:rollout');
    assert.equal(run.attributes['landfall.outcome'], 'delivered');
    const spans = collector.spans.filter(({ traceId }) => traceId === run.traceId);
    const ids = spans.map(({ spanId }) => spanId);
    assert.equal(new Set(ids).size, ids.length, 'a span was sent twice');
    const begins = spans.filter(({ parentId }) => !ids.includes(parentId));
    assert.deepEqual(
      begins.map(({ name, parentId, kind }) => [name, parentId, kind]),
      [['POST /webhook/distribution', '', 2]],
    );
    const above = ({ parentId }: CollectedSpan) => spans.find(({ spanId }) => spanId === parentId)?.name;
    const parents = new Map(spans.map((span) => [span.name, above(span)]));
    assert.equal(parents.get('StartWorkflow:rollout'), 'POST /webhook/distribution');
    assert.equal(parents.get('RunWorkflow:rollout'), 'StartWorkflow:rollout');
    for (const step of ['verify', 'propose', 'merge', 'deploy', 'watch'])
      assert.equal(parents.get(step), 'RunWorkflow:rollout', step);
    assert.equal(parents.get('RunActivity:deployStage'), 'deploy');
    assert.equal(parents.get('HandleUpdate:enter'), 'RunActivity:enterLane');
    const watched = spans.filter(({ name }) => name === 'RunActivity:watchStage');
    assert.deepEqual(
      watched.map(({ attributes }) => attributes['landfall.attempt']),
      [2],
      'the first was killed',
    );
    const workers = new Set(spans.map(({ resource }) => resource['service.instance.id']));
    assert.equal(workers.size, 2);
  });

  const places: readonly (readonly [activity: string, nth: number])[] = [
    ['rollBackStage', 1],
    ['watchStage', 2],
    ['revertChange', 1],
    ['mergeChange', 2],
    ['discardPrevious', 1],
  ];
  for (const [activity, nth] of places) {
    it(`in ${activity} of a rollback, rolls back all the same: one revert, and what ran before`, async () => {
      const before = await world.remote.read('main', 'docker-compose.yml');
      const digest = await push(fadingImage);
      await killDuring(digest, activity, nth);
      const state: RolloutState = await world.until('latest', digest, 'rolled-back');
      assert.match(state.reason ?? '', /is back/);
      assert.equal(await world.remote.read('main', 'docker-compose.yml'), before);
      assert.ok(await world.production.runs(running), JSON.stringify(await world.production.containers()));
      assert.equal((await commitsOf(digest)).length, 2, `one merge and one revert: ${(await commitsOf(digest)).join(', ')}`);
      assert.deepEqual(await world.remote.branches(), ['main']);
    });
  }
});
