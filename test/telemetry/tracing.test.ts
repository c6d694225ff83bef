import assert from 'node:assert/strict';
import { formatTraceparent, parseTraceparent, spanIdOf, type TraceSpan } from '../../src/domain/trace.ts';
import { isTracingAskedFor, parseTracing } from '../../src/settings/tracing.ts';
import { createExporter } from '../../src/telemetry/tracing/exporter.ts';
import { createTracer } from '../../src/telemetry/tracing/tracer.ts';
import { githubSecret, startIngress } from '../api/support/ingress.ts';
import { githubSignature } from '../api/support/vectors.ts';
import { type Collector, startCollector } from '../support/collector.ts';
import { eventually } from '../support/wait.ts';

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.example.test:4318/' };
const theirs = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', sampled: true };

describe('traces', () => {
  let collector: Collector;
  const lines: string[] = [];
  const log = {
    info: (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`),
    warn: (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`),
  };

  beforeEach(async () => {
    lines.length = 0;
    collector = await startCollector();
  });
  afterEach(() => collector.stop());

  const exporter = (more: object = {}) =>
    createExporter({
      ...{
        url: new URL(`${collector.url}/v1/traces`),
        headers: { 'api-key': 'k' },
        timeoutMs: 300,
        delayMs: 10,
        graceMs: 300,
        log,
      },
      ...{ resource: { 'service.name': 'landfall' }, ...more },
    });
  const spanOf = (name: string, more: Partial<TraceSpan> = {}): TraceSpan => ({
    ...{
      name,
      kind: 'internal',
      context: { ...theirs, spanId: spanIdOf(name) },
      startMs: 1_764_000_000_123,
      endMs: 1_764_000_001_000,
    },
    ...{ attributes: { 'landfall.stage': 'production', 'landfall.attempt': 2 }, ...more },
  });

  it('are asked for by the standard variables alone, and by nothing that turns them off again', () => {
    assert.equal(isTracingAskedFor({ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'always_on' }), false);
    assert.equal(isTracingAskedFor(endpoint), true);
    assert.equal(isTracingAskedFor({ ...endpoint, OTEL_SDK_DISABLED: 'true' }), false);
    assert.equal(isTracingAskedFor({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }), false);
    const settings = parseTracing({
      ...endpoint,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20abc, x=1',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod,service.name=other',
      OTEL_SERVICE_NAME: 'landfall-eu',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    });
    assert.equal(settings.url.href, 'http://collector.example.test:4318/v1/traces');
    assert.deepEqual(settings.headers, { authorization: 'Bearer abc', x: '1' });
    assert.deepEqual(settings.resource, { 'service.name': 'landfall-eu', 'deployment.environment.name': 'prod' });
    assert.equal(settings.ratio, 0.25);
    const own = 'https://traces.example.test/in';
    assert.equal(parseTracing({ ...endpoint, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: own }).url.href, own);
    assert.throws(
      () => parseTracing({ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }),
      /expected http\/protobuf.*found grpc/,
    );
    assert.throws(
      () => parseTracing({ OTEL_EXPORTER_OTLP_ENDPOINT: 'user:secret@host' }),
      (error: Error) => {
        assert.match(error.message, /expected a URL/);
        return !error.message.includes('secret');
      },
    );
  });

  it('are read by any receiver of OTLP: ids, times, attributes, links and failures', async () => {
    const sender = exporter();
    const error = { type: 'Unhealthy', message: 'no answer' };
    sender.add(spanOf('watch', { parentId: theirs.spanId, error, links: [theirs] }));
    await eventually('the span', async () => collector.spans.length === 1);
    const [span] = collector.spans;
    assert.deepEqual(span, {
      ...{ traceId: theirs.traceId, spanId: spanIdOf('watch'), parentId: theirs.spanId, name: 'watch', kind: 1 },
      ...{ startMs: 1_764_000_000_123, endMs: 1_764_000_001_000, status: 2, message: 'no answer' },
      attributes: { 'landfall.stage': 'production', 'landfall.attempt': 2 },
      links: [{ traceId: theirs.traceId, spanId: theirs.spanId }],
      resource: { 'service.name': 'landfall' },
    });
    assert.equal(collector.requests[0]?.path, '/v1/traces');
    assert.equal(collector.requests[0]?.headers['api-key'], 'k');
    await sender.close();
  });

  it('wait for a collector that is down, which is said once, and bring what was kept', async () => {
    const sender = exporter();
    collector.answer(503);
    for (let index = 0; index < 3; index += 1) {
      sender.add(spanOf(`span ${index}`));
      await eventually('a request', async () => collector.requests.length > index);
    }
    collector.answer(200);
    await eventually('all of them', async () => collector.spans.length === 3);
    await eventually('the line', async () => lines.length === 2);
    assert.match(lines.join('\n'), /^traces cannot be sent.*answers 503.*\ntraces can be sent again \{"lost":0\}$/);
    await sender.close();
  });

  it('come in a burst, and all arrive; where more come than can wait, it is said how many are lost', async () => {
    const sender = exporter({ delayMs: 60_000, timeoutMs: 5_000 });
    for (let index = 0; index < 5_000; index += 1) {
      sender.add(spanOf(`span ${index}`));
      // One by one, as they end.
      if (index % 100 === 0) await new Promise(setImmediate);
      if (index % 500 === 0) await eventually('a request to be answered', async () => collector.spans.length > index - 1_200);
    }
    await sender.close();
    assert.equal(collector.spans.length, 5_000);
    assert.deepEqual(lines, []);
    const other = exporter({ most: 10, delayMs: 20 });
    for (let index = 0; index < 15; index += 1) other.add(spanOf(`span ${index}`));
    await eventually('both lines', async () => lines.length === 2);
    assert.match(lines.join('\n'), /^too many spans wait.*\{"waiting":10\}\ntraces can be sent again \{"lost":5\}$/);
    await other.close();
  });

  it('hold nothing up where a collector never answers: not who has spans, and not the end', async () => {
    const sender = exporter({ most: 10, timeoutMs: 60_000 });
    collector.answer('never');
    const begun = performance.now();
    for (let index = 0; index < 100; index += 1) sender.add(spanOf(`span ${index}`));
    assert.ok(performance.now() - begun < 200);
    await eventually('the request', async () => collector.requests.length === 1);
    await sender.close();
    assert.ok(performance.now() - begun < 5_000);
    assert.match(lines.at(-1) ?? '', /could not be sent \{"lost":100\}/);
  });

  it('show no secret, and nothing long or of several lines', () => {
    const spans: TraceSpan[] = [];
    const tracer = createTracer(
      1,
      (text) => text.replaceAll('hunter2', '[masked]'),
      (span) => void spans.push(span),
    );
    tracer.ended(
      spanOf('deploy', {
        attributes: { 'landfall.image': `a\nb\u202e${'x'.repeat(9_999)}` },
        error: { type: 'DeployFailed', message: 'the password is hunter2' },
      }),
    );
    const [span] = spans;
    assert.equal(span?.error?.message, 'the password is [masked]');
    assert.match(String(span?.attributes['landfall.image']), /^a b x+…$/);
    assert.equal(String(span?.attributes['landfall.image']).length, 256);
    assert.equal(span?.attributes['error.type'], 'DeployFailed');
  });

  it('are sampled where they begin, by their ids', () => {
    const kept = (ratio: number) => {
      const tracer = createTracer(ratio, String, () => undefined);
      return Array.from({ length: 2_000 }, () => tracer.begin()).filter(({ sampled }) => sampled).length;
    };
    assert.deepEqual([kept(0), kept(1)], [0, 2_000]);
    const some = kept(0.25);
    assert.ok(some > 350 && some < 650, `${some} of 2000`);
  });

  it('of others are understood as W3C has them, and nothing else is', () => {
    assert.deepEqual(parseTraceparent(formatTraceparent(theirs)), theirs);
    const wrong = ['', '00-0-0-01', `ff-${theirs.traceId}-${theirs.spanId}-01`, `00-${'0'.repeat(32)}-${theirs.spanId}-01`, 7];
    for (const text of wrong) assert.equal(parseTraceparent(text), undefined, String(text));
    assert.equal(new Set(Array.from({ length: 20_000 }, (_, index) => spanIdOf('run', 'step', index))).size, 20_000);
  });

  it('of a sender are linked to, and decide nothing; who is not known leaves none', async () => {
    const spans: TraceSpan[] = [];
    const ingress = await startIngress({ tracer: createTracer(1, String, (span) => void spans.push(span)) });
    const path = '/webhook/image-published';
    const headers = { 'Content-Type': 'application/json', 'X-GitHub-Event': 'ping', traceparent: formatTraceparent(theirs) };
    try {
      await ingress.post(path, '{}', { ...headers, ...githubSignature('wrong', '{}') });
      await ingress.post('/nowhere', '{}', headers);
      assert.equal(spans.length, 0);
      await ingress.post(path, '{}', { ...headers, ...githubSignature(githubSecret, '{}') });
      const [span] = spans;
      assert.equal(span?.name, `POST ${path}`);
      assert.equal(span?.attributes['http.response.status_code'], 200);
      assert.deepEqual(span?.links, [theirs]);
      assert.notEqual(span?.context.traceId, theirs.traceId);
      assert.equal(span?.parentId, undefined);
    } finally {
      await ingress.listeners.stop();
    }
  });
});
