import assert from 'node:assert/strict';
import { TypedSearchAttributes } from '@temporalio/common';
import { createForwardProgress, type ForwardProgress } from '../../src/api/webhooks/forward-progress.ts';
import { rolloutId, rolloutStartOptions, searchAttributes } from '../../src/contracts/start-options.ts';
import { type Digest, parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { forgeEvents, withValue } from './support/forge-events.ts';
import { exactly, githubSecret, type Ingress, planOf, startIngress } from './support/ingress.ts';
import { githubSignature } from './support/vectors.ts';

const repository = 'Codertocat/Hello-World';
/** No worker runs here: rollouts stay as they were started, and what they were told can be looked at. */
describe('progress at a forge', function () {
  this.timeout(60_000);
  let temporal: TestTemporal;
  let ingress: Ingress;
  before(async () => {
    temporal = await startTemporal();
    const forwardProgress = (log: Parameters<typeof createForwardProgress>[0]['log']): ForwardProgress =>
      createForwardProgress({
        client: temporal.client,
        isDeploymentRepository: (name) => name === repository,
        log,
      });
    ingress = await startIngress({ forwardProgress });
  });
  after(async () => {
    await ingress?.listeners.stop();
    await temporal?.stop();
  });

  async function startRollout(service: string, stage: string, status = 'waiting', id?: string): Promise<string> {
    const image = { repository: parseRepository('ghcr.io/team/app'), tag: 'latest' as Tag, digest };
    const push = { source: 'test', deliveryId: 'd', ...image, receivedAt: new Date().toISOString() };
    const options = rolloutStartOptions({ plan: planOf(service, image.repository, exactly('latest')), image, push });
    const workflowId = id ?? rolloutId(service, image);
    await temporal.client.workflow.start(id === undefined ? 'rollout' : 'rollback', {
      ...options,
      workflowId,
      typedSearchAttributes: new TypedSearchAttributes([
        { key: searchAttributes.service, value: service },
        { key: searchAttributes.stage, value: stage },
        { key: searchAttributes.status, value: status },
      ]),
    });
    const query = `WorkflowId = '${workflowId}' AND LandfallStage = '${stage}'`;
    await eventually(`${workflowId} to be listed`, async () => (await temporal.client.workflow.count(query)).count > 0);
    return workflowId;
  }

  /** The words of the signals that a rollout got. */
  async function toldTo(id: string): Promise<string[]> {
    const { events } = await temporal.client.workflow.getHandle(id).fetchHistory();
    return (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) => {
      if (signal?.signalName !== 'progress') return [];
      return [(JSON.parse(Buffer.from(signal.input?.payloads?.[0]?.data ?? []).toString()) as { what: string }).what];
    });
  }

  async function send(event: string, body: object): Promise<{ status: number; body: Answer; retryAfter: string | null }> {
    const raw = JSON.stringify(body);
    const headers = { 'Content-Type': 'application/json', 'X-GitHub-Event': event, ...githubSignature(githubSecret, raw) };
    const answer = await ingress.post('/webhook/image-published', raw, headers);
    return { status: answer.status, body: (await answer.json()) as Answer, retryAfter: answer.headers.get('Retry-After') };
  }

  const suiteOf = (branch: string): object => {
    const [completed] = forgeEvents(['check_suite'], branch).filter(({ action }) => action === 'completed');
    return completed?.body ?? {};
  };

  for (const [event, action, state] of [
    ['check_suite', 'completed', undefined],
    ['check_run', 'completed', undefined],
    ['status', 'success', undefined],
    ['pull_request', 'closed', undefined],
    ['pull_request_review', 'dismissed', undefined],
    ['deployment_status', 'created', ['deployment', 'ref']],
  ] as const) {
    it(`of a ${event} reaches the rollout that waits in the stage of its branch, and no other`, async () => {
      const service = `by-${event.replaceAll('_', '-')}`;
      const branch = `landfall/${service}-production`;
      const id = await startRollout(service, 'production');
      const elsewhere = await startRollout(service, 'staging', 'waiting', `rollback:${service}:staging:1`);
      const recorded = forgeEvents([event], branch).find((candidate) => candidate.action === action)?.body ?? {};
      const answer = await send(event, state === undefined ? recorded : withValue(recorded, state, branch));
      assert.deepEqual([answer.status, answer.body], [202, { progress: [id] }]);
      const [what = '', ...others] = await toldTo(id);
      assert.deepEqual(others, []);
      assert.ok(what.startsWith(`${event} of ${repository} `), what);
      assert.deepEqual(await toldTo(elsewhere), []);
    });
  }

  it('is written down and counted', async () => {
    const id = await startRollout('counted', 'production');
    assert.equal((await send('check_suite', suiteOf('landfall/counted-production'))).status, 202);
    const line = ingress.audited().at(-1);
    assert.deepEqual(
      [line?.outcome, line?.event, line?.action, line?.repository, line?.service, line?.rollouts, line?.progress],
      ['accepted', 'check_suite', 'completed', repository, 'counted', [], [id]],
    );
    const metrics = await (await fetch(`${ingress.operatorsUrl}/metrics`)).text();
    assert.match(metrics, /landfall_progress_forwarded_total\{service="counted"\} 1/);
  });

  it('reaches a rollout that runs and a rollback, but none that is blocked or over', async () => {
    const running = await startRollout('several', 'production', 'running');
    const rollback = await startRollout('several', 'production', 'waiting', 'rollback:several:production:1');
    const namesake = await startRollout('several-production', 'rollback', 'waiting');
    const blocked = await startRollout('stuck', 'production', 'blocked');
    const { body } = await send('check_suite', suiteOf('landfall/several-production-rollback'));
    // A service and stage of that very name have the same branch; they look in vain, and no harm is done.
    assert.deepEqual(new Set(body.progress), new Set([running, rollback, namesake]));
    assert.equal((await toldTo(running)).length, 1);
    const none = await send('check_suite', suiteOf('landfall/stuck-production'));
    assert.deepEqual([none.status, none.body], [200, { ignored: 'no rollout waits for landfall/stuck-production' }]);
    assert.deepEqual(await toldTo(blocked), []);
  });

  it('of a deployment reaches the rollout that made it, whatever its branch', async () => {
    const id = await startRollout('deployer', 'production', 'running');
    const [recorded] = forgeEvents(['deployment_status'], 'unused');
    const { status, body } = await send(
      'deployment_status',
      withValue(recorded?.body, ['deployment', 'payload'], { rollout: id }),
    );
    assert.deepEqual([status, body], [202, { progress: [id] }]);
  });

  it('of branches that are made to be many services at once is answered all the same', async () => {
    for (const rest of ['-'.repeat(200), 'a-'.repeat(100), `${'x'.repeat(60)}-`.repeat(3), 'production']) {
      const { status, body } = await send('check_suite', suiteOf(`landfall/${rest}`));
      assert.deepEqual([status, body], [200, { ignored: `no rollout waits for landfall/${rest}` }]);
    }
  });

  it('of a repository from which nothing is deployed reaches nobody', async () => {
    const id = await startRollout('foreign', 'production');
    const event = withValue(suiteOf('landfall/foreign-production'), ['repository', 'full_name'], 'stranger/repository');
    const { status, body } = await send('check_suite', event);
    assert.deepEqual([status, body], [200, { ignored: 'no service is deployed from stranger/repository' }]);
    assert.equal(ingress.audited().at(-1)?.outcome, 'ignored');
    assert.deepEqual(await toldTo(id), []);
  });

  it('is answered with 503 in time while Temporal hangs, and passed on when it answers again', async () => {
    const id = await startRollout('frozen', 'production');
    temporal.freeze();
    try {
      const begun = Date.now();
      const { status, retryAfter } = await send('check_suite', suiteOf('landfall/frozen-production'));
      assert.equal(status, 503);
      assert.match(retryAfter ?? '', /^\d+$/);
      assert.ok(Date.now() - begun < 10_000);
      assert.equal(ingress.audited().at(-1)?.outcome, 'unavailable');
    } finally {
      temporal.thaw();
    }
    const sendAgain = async () => (await send('check_suite', suiteOf('landfall/frozen-production'))).status === 202;
    await eventually('Temporal to answer again', sendAgain);
    assert.ok((await toldTo(id)).length >= 1);
  });
});

interface Answer {
  readonly progress?: readonly string[];
  readonly ignored?: string;
}

const digest = `sha256:${'a'.repeat(64)}` as Digest;
