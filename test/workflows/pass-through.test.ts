import assert from 'node:assert/strict';
import { WorkflowExecutionAlreadyStartedError, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { createDispatch } from '../../src/activities/dispatch.ts';
import { passThroughStartOptions, searchAttributes, taskQueues } from '../../src/contracts/start-options.ts';
import type { ImagePush } from '../../src/domain/image-push.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import type { DispatchPlan } from '../../src/domain/plan.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { imageOf, planOf, pushOf, stageOf } from '../support/plans.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { runWorkers, type TestWorkers } from '../support/worker.ts';

const repository = 'team/web';
const commit = '42d4a62c53350993ea41069e9f2cfdefb0df097d';
const quay: DispatchPlan = { event: 'QUAY_BUILD_SUCCESS', payload: 'quay', per: 'push' };
const event = { eventType: 'QUAY_BUILD_SUCCESS', payload: { text: '42d4a62' } };

describe('passing pushes on', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let github: GitHub;
  let workers: TestWorkers;
  let deliveries = 0;

  before(async () => {
    temporal = await startNamespace();
  });
  after(() => temporal.stop());
  beforeEach(async () => {
    github = await startGitHub();
    await github.createRepository(repository);
    workers = await work();
  });
  afterEach(async () => {
    await workers.stop();
    await github.stop();
  });

  async function work(): Promise<TestWorkers> {
    const { clientFor } = createGitHubClients({ token }, { url: github.url });
    const activities = createDispatch({ clientFor });
    // Every step is replayed.
    return await runWorkers(temporal, [{ taskQueue: taskQueues.main, activities, maxCachedWorkflows: 0 }]);
  }

  /** What the ingress starts for a build of Quay's with three tags. */
  function build(push: Partial<ImagePush> = { commit }, dispatch: DispatchPlan = quay) {
    deliveries += 1;
    const plan = planOf({ stages: [stageOf('production', { dispatch })] });
    const { digest: _digest, ...told } = { ...pushOf(imageOf(plan, 'A'), `build-${deliveries}`), ...push };
    return passThroughStartOptions({ plan, pushes: ['latest', 'foo', 'bar'].map((tag) => ({ ...told, tag: tag as Tag })) });
  }
  const start = (options: ReturnType<typeof build>): Promise<WorkflowHandle> =>
    temporal.client.workflow.start('passThrough', options);
  const sent = () => github.repository(repository).dispatches;
  const statusOf = async (handle: WorkflowHandle) => (await handle.describe()).typedSearchAttributes.get(searchAttributes.status);
  const failureOf = async (handle: WorkflowHandle): Promise<ApplicationFailure> => {
    const error: unknown = await handle.result().then(
      () => assert.fail('it did not fail'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure, String(error));
    return error.cause;
  };

  it('sends one event for one build with three tags, and says so in its columns', async () => {
    const options = build();
    const handle = await start(options);
    assert.deepEqual(await handle.result(), [{ kind: 'dispatched', repository, event: quay.event }]);
    assert.deepEqual(sent(), [event]);
    const { typedSearchAttributes: columns } = await handle.describe();
    assert.equal(columns.get(searchAttributes.status), 'delivered');
    const [first] = options.args?.[0].pushes ?? [];
    assert.ok((columns.get(searchAttributes.changedAt)?.toISOString() ?? '') > (first?.receivedAt ?? 'none'));
  });

  it('sends nothing again when the delivery comes again', async () => {
    const options = build();
    await (await start(options)).result();
    await assert.rejects(start(options), WorkflowExecutionAlreadyStartedError);
    assert.deepEqual(sent(), [event]);
  });

  it('waits for a GitHub that is down', async () => {
    github.failNext({ status: 503, times: 2 });
    github.failNext({ cut: true });
    await (await start(build())).result();
    assert.deepEqual(sent(), [event]);
  });

  it('sleeps through a rate limit, and holds up no other push', async () => {
    github.failNext({ rateLimit: 'secondary', seconds: 3 });
    const limited = await start(build());
    await eventually('the limit', async () => github.requests.length === 1);
    await (await start(build())).result();
    await limited.result();
    assert.deepEqual([sent().length, github.requests.length], [2, 3]);
  });

  it('fails for good, with the reason, where GitHub says no, and can be sent again then', async () => {
    const options = build({ commit }, { ...quay, repository: 'team/none' });
    const handle = await start(options);
    const { type, message } = await failureOf(handle);
    assert.equal(type, 'ForgeRefused');
    assert.match(message, /team\/none/);
    assert.equal(await statusOf(handle), 'failed');
    await github.createRepository('team/none');
    await (await start(options)).result();
    assert.deepEqual(github.repository('team/none').dispatches, [event]);
  });

  it('fails as NoCommit where the payload needs a commit and the push has none', async () => {
    const handle = await start(build({}));
    const { type, message } = await failureOf(handle);
    assert.equal(type, 'NoCommit');
    assert.match(message, /expected the commit of the build/);
    assert.deepEqual([await statusOf(handle), github.requests.length], ['failed', 0]);
  });

  it('sends what it can of several builds, and fails for the one that it cannot', async () => {
    const [lacking] = build({}).args?.[0].pushes ?? [];
    const options = build();
    const [first] = options.args ?? [];
    assert.ok(first && lacking);
    const handle = await start({ ...options, args: [{ ...first, pushes: [lacking, ...first.pushes] }] });
    assert.equal((await failureOf(handle)).type, 'NoCommit');
    assert.deepEqual([await statusOf(handle), sent()], ['failed', [event]]);
  });

  it('ends as aborted when somebody cancels it', async () => {
    github.failNext({ rateLimit: 'secondary', seconds: 600 });
    const handle = await start(build());
    await eventually('the limit', async () => github.requests.length === 1);
    await handle.cancel();
    await assert.rejects(handle.result(), WorkflowFailedError);
    assert.equal(await statusOf(handle), 'aborted');
    assert.deepEqual(sent(), []);
  });
});
