import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createDispatch } from '../../src/activities/dispatch.ts';
import type { PassThroughInput } from '../../src/contracts/activities/delivery.ts';
import { eventsOf } from '../../src/domain/dispatch-payload.ts';
import type { ImagePush } from '../../src/domain/image-push.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import type { DispatchOutcome } from '../../src/domain/outcomes.ts';
import type { DispatchPlan } from '../../src/domain/plan.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { digestOf, imageOf, planOf, pushOf, stageOf } from '../support/plans.ts';

const repository = 'team/deployment';
const workflowId = 'pass-through:web:delivery-1';

/** One push of several tags, without a digest, as Quay tells it. */
function pushesOf(tags: readonly string[], more: Partial<ImagePush> = {}): [ImagePush, ...ImagePush[]] {
  const { digest: _digest, ...push } = pushOf(imageOf(planOf(), 'A'));
  const [first = 'latest', ...others] = tags;
  const tagged = (tag: string): ImagePush => ({ ...push, tag: tag as Tag, ...more });
  return [tagged(first), ...others.map(tagged)];
}

describe('passing a push on', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;

  beforeEach(async () => {
    github = await startGitHub();
    await github.createRepository(repository);
  });
  afterEach(() => github.stop());

  async function forward(dispatch: Partial<DispatchPlan>, pushes: PassThroughInput['pushes']): Promise<DispatchOutcome> {
    const plan = planOf({
      stages: [stageOf('production', { dispatch: { repository, event: 'pushed', per: 'push', ...dispatch } })],
    });
    const { clientFor } = createGitHubClients({ token }, { url: github.url });
    const environment = new MockActivityEnvironment(
      { workflowExecution: { workflowId, runId: 'run' } },
      { logger: new DefaultLogger('ERROR') },
    );
    return environment.run(createDispatch({ clientFor }).passThrough, { plan, pushes });
  }
  function sent(): Record<string, unknown> {
    const [first, ...more] = github.repository(repository).dispatches;
    assert.deepEqual([first?.eventType, more], ['pushed', []]);
    return { ...first?.payload };
  }

  it('sends one event for all tags, in the shape image-push', async () => {
    const digest = digestOf('A');
    assert.deepEqual(
      await forward({ payload: 'image-push' }, pushesOf(['latest', 'v1.2', 'main'], { digest, commit: 'c0ffee', buildId: '7' })),
      { kind: 'dispatched', repository, event: 'pushed' },
    );
    const { timestamp: _timestamp, ...others } = sent();
    assert.deepEqual(others, {
      repository: 'team/web',
      tags: '["latest","v1.2","main"]',
      digest,
      commit: 'c0ffee',
      run_id: '7',
      source_repository: '',
    });
  });

  it('leaves empty in image-push what nobody knows', async () => {
    await forward({ payload: 'image-push' }, pushesOf(['latest']));
    const { digest, commit, run_id: run } = sent();
    assert.deepEqual([digest, commit, run], ['', '', '']);
  });

  it('sends one event for all tags, in the shape of quay', async () => {
    await forward({ payload: 'quay' }, pushesOf(['latest', 'foo', 'bar'], { commit: '42d4a62c53350993ea41' }));
    assert.deepEqual(sent(), { text: '42d4a62' });
  });

  it('adds all tags to its own shape, within the ten members that GitHub takes', async () => {
    await forward({}, pushesOf(['latest', 'v1'], { commit: 'c0ffee', sourceRepository: 'team/source' }));
    const { timestamp: _timestamp, ...others } = sent();
    assert.deepEqual(others, {
      service: 'web',
      image: 'registry.example.test/team/web',
      tag: 'latest',
      tags: ['latest', 'v1'],
      digest: '',
      sha: 'c0ffee',
      commit: 'c0ffee',
      repository: 'team/source',
      rollout_id: workflowId,
    });
  });

  it('is refused for good where quay needs a commit and the push has none', async () => {
    await assert.rejects(
      forward({ payload: 'quay' }, pushesOf(['latest'])),
      (error: unknown) => error instanceof ApplicationFailure && error.type === 'NoCommit' && error.nonRetryable === true,
    );
    assert.deepEqual(github.requests, []);
  });
});

describe('what was pushed together', () => {
  const tagsOf = (groups: readonly (readonly ImagePush[])[]) => groups.map((group) => group.map(({ tag }) => tag));

  it('is one event for one image, however often a tag is named', () => {
    const digest = digestOf('A');
    assert.deepEqual(tagsOf(eventsOf('image-push', pushesOf(['a', 'b', 'a'], { digest }))), [['a', 'b']]);
  });

  it('is an event for each image of a delivery that brings several', () => {
    const pushes = [...pushesOf(['a'], { digest: digestOf('A') }), ...pushesOf(['b', 'c'], { digest: digestOf('B') })];
    assert.deepEqual(tagsOf(eventsOf('image-push', pushes)), [['a'], ['b', 'c']]);
    assert.deepEqual(tagsOf(eventsOf(undefined, pushes)), [['a'], ['b', 'c']]);
  });

  it('is one event for one build, whose images quay does not name', () => {
    const pushes = [...pushesOf(['a'], { digest: digestOf('A') }), ...pushesOf(['b'], { digest: digestOf('B') })];
    assert.deepEqual(tagsOf(eventsOf('quay', pushes)), [['a', 'b']]);
  });
});
