import assert from 'node:assert/strict';
import { Worker } from '@temporalio/worker';
import { sealedClient } from '../../src/contracts/sealed-client.ts';
import { resolveStartOptions, rolloutId, rolloutStartOptions } from '../../src/contracts/start-options.ts';
import type { TraceContext, TraceSpan } from '../../src/domain/trace.ts';
import { tracedActivities, tracedClient } from '../../src/process/tracing.ts';
import { auditSinks, traceSinks } from '../../src/process/workers.ts';
import { createTracer } from '../../src/telemetry/tracing/tracer.ts';
import { fakeActivities, type TagTable } from '../support/fake-activities.ts';
import { digestOf, imageOf, planOf, pushOf } from '../support/plans.ts';
import { startNamespace, type TestNamespace, testSealing } from '../support/temporal.ts';
import { replayOptions, startWorkers, type TestWorkers } from '../support/worker.ts';

describe('the trace of a push', function () {
  this.timeout(60_000);
  const spans: TraceSpan[] = [];
  const tracer = createTracer(1, String, (span) => void spans.push(span));
  const tags: TagTable = new Map();
  let temporal: TestNamespace;
  let workers: TestWorkers;
  let traced: TestNamespace['client'];
  let confirmed = 0;

  before(async () => {
    temporal = await startNamespace();
    const { connection } = temporal.client;
    const { namespace } = temporal;
    traced = sealedClient({ connection, namespace, sealing: testSealing, interceptors: [tracedClient(tracer)] });
    const usual = fakeActivities(traced, tags);
    const confirm: typeof usual.confirm = async (input) => {
      confirmed += 1;
      if (confirmed % 2 === 1) throw new Error('the registry is away');
      return usual.confirm(input);
    };
    const watchers = { interceptors: [tracedActivities(tracer)], spanEnded: tracer.ended };
    workers = await startWorkers(temporal, { ...usual, confirm }, { watchers });
  });
  after(async () => {
    await workers?.stop();
    await temporal?.stop();
  });

  it('is one from its webhook to its end, each span once, whatever is replayed', async () => {
    const plan = planOf({ service: 'traced' });
    const image = imageOf(plan, 'good');
    tags.set(`${plan.repository}:latest`, digestOf('good'));
    const webhook: TraceContext = tracer.begin();
    const resolving = await tracer.within(webhook, () =>
      traced.workflow.signalWithStart('resolve', resolveStartOptions({ plan, push: pushOf(image) })),
    );
    await resolving.result();
    const rollout = temporal.client.workflow.getHandle(rolloutId(plan.service, image));
    assert.equal((await rollout.result()).status, 'proposed');

    assert.deepEqual([...new Set(spans.map(({ context }) => context.traceId))], [webhook.traceId]);
    const firstOf = ({ context }: TraceSpan) => spans.find((other) => other.context.spanId === context.spanId);
    const twice = spans.filter((span) => firstOf(span) !== span);
    assert.deepEqual(
      twice.map((span) => [firstOf(span), span]),
      [],
    );
    const above = (span: TraceSpan): TraceSpan | undefined => spans.find(({ context }) => context.spanId === span.parentId);
    const wayOf = (span: TraceSpan | undefined): string => {
      if (span === undefined) return 'webhook';
      assert.ok(above(span) !== undefined || span.parentId === webhook.spanId, `${span.name} has no parent`);
      return `${wayOf(above(span))} > ${span.name}`;
    };
    const ways = new Set(spans.map(wayOf));
    const run = [
      'webhook > SignalWithStartWorkflow:resolve > RunActivity:startRollouts',
      'StartWorkflow:rollout > RunWorkflow:rollout',
    ].join(' > ');
    for (const way of [
      'webhook > SignalWithStartWorkflow:resolve > RunWorkflow:resolve',
      `${run} > RunActivity:enterLane > HandleUpdate:enter`,
      `${run} > verify > RunActivity:verify`,
      `${run} > scan > RunActivity:check:scan`,
      `${run} > propose > RunActivity:propose`,
    ])
      assert.ok(ways.has(way), `${way} is not among\n${[...ways].join('\n')}`);

    const told = spans.length;
    const sinks = { ...auditSinks(() => undefined), ...traceSinks(tracer.ended) };
    const replaying = { ...(await replayOptions(temporal)), sinks };
    await Worker.runReplayHistory(replaying, await rollout.fetchHistory(), rollout.workflowId);
    assert.equal(spans.length, told, 'a replay tells of nothing');

    const attempts = spans.filter(({ name }) => name === 'RunActivity:confirm');
    assert.deepEqual(
      attempts.map(({ attributes, error }) => [attributes['landfall.attempt'], error?.message]),
      [
        [1, 'the registry is away'],
        [2, undefined],
      ],
    );
    const whole = spans.find(({ name }) => name === 'RunWorkflow:rollout');
    assert.equal(whole?.attributes['landfall.outcome'], 'proposed');
    assert.equal(whole?.attributes['landfall.digest'], image.digest);
    const step = spans.find(({ name }) => name === 'confirm');
    assert.equal(step?.attributes['landfall.stage'], 'production');
    assert.ok(
      step !== undefined && step.endMs - step.startMs >= 900,
      'the step lasts from its first attempt to the end of its last',
    );
  });

  it('is none where nobody asked for one', async () => {
    spans.length = 0;
    const plan = planOf({ service: 'untraced' });
    const image = imageOf(plan, 'good');
    const start = rolloutStartOptions({ plan, image, push: pushOf(image) });
    assert.equal((await temporal.client.workflow.execute('rollout', start)).status, 'proposed');
    assert.deepEqual(spans, []);
  });
});
