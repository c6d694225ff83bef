import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { httpFetch } from '../../src/platform/http/client.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { boundedNames } from '../../src/telemetry/rollout-metrics.ts';

const limitOf = (remaining: string, resource: string) => ({
  'X-RateLimit-Remaining': remaining,
  'X-RateLimit-Resource': resource,
});

describe('the figures of requests that go out', () => {
  let server: Server;
  let host: string;
  before(async () => {
    server = createServer((request, response) => {
      const headers = {
        '/github': { ...limitOf('4711', 'core'), 'X-RateLimit-Reset': `${Math.ceil(Date.now() / 1_000) + 900}` },
        '/begun-anew': { ...limitOf('3', 'search'), 'X-RateLimit-Reset': `${Math.floor(Date.now() / 1_000)}` },
        '/gitlab': { 'RateLimit-Remaining': '7', 'RateLimit-Reset': '1767323045', 'X-RateLimit-Resource': 'api' },
        '/no-window': { 'RateLimit-Remaining': '0;w=0', 'X-RateLimit-Resource': 'pulls' },
        '/hub': { 'RateLimit-Remaining': '98;w=21600' },
        '/odd': limitOf('many', 'a"b'),
      }[request.url ?? ''];
      if (request.url === '/cut') return void request.socket.destroy();
      response.writeHead(request.url === '/odd' ? 503 : 200, headers).end();
    });
    await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    host = `127.0.0.1:${address.port}`;
  });
  after(() => new Promise((closed) => void server.close(closed)));

  it('say who was asked and how that ended, and what is left of rate limits that have not begun anew', async () => {
    const metrics = createMetrics();
    const stop = metrics.countRequests();
    for (const path of ['github', 'hub', 'odd', 'begun-anew', 'gitlab', 'no-window'])
      await (await httpFetch(`http://${host}/${path}`)).body?.cancel();
    await assert.rejects(httpFetch(`http://${host}/cut`));
    stop();
    await (await httpFetch(`http://${host}/github`)).body?.cancel();
    const figures = await metrics.text();
    const own = figures.split('\n').filter((line) => line.includes(host));
    assert.deepEqual(own.sort(), [
      `landfall_rate_limit_remaining{host="${host}",resource="all"} 98`,
      `landfall_rate_limit_remaining{host="${host}",resource="core"} 4711`,
      `landfall_requests_sent_total{host="${host}",status="2xx"} 5`,
      `landfall_requests_sent_total{host="${host}",status="5xx"} 1`,
      `landfall_requests_sent_total{host="${host}",status="none"} 1`,
    ]);
  });

  it('have as many names as were foreseen, and one for all others', () => {
    const named = boundedNames(2, '(others)');
    assert.deepEqual(['a', 'b', 'c', 'a', 'd'].map(named), ['a', 'b', '(others)', 'a', '(others)']);
  });
});

describe('the figures of services', () => {
  it('are of 500 names, whoever makes up more by pushing to a pattern, and of those of the configuration in any case', async () => {
    const metrics = createMetrics();
    metrics.expect('configured', []);
    const pushed = Array.from({ length: 600 }, (_, index) => ({ service: `made-up-${index}` }));
    metrics.pushesAccepted({ rollouts: pushed, resolving: pushed, forwarding: pushed });
    metrics.progressForwarded(pushed);
    metrics.pushesAccepted({ rollouts: [{ service: 'configured' }], resolving: [] });
    const lines = (await metrics.text()).split('\n');
    for (const name of ['rollouts_started', 'look_ups_started', 'forwards_started', 'progress_forwarded']) {
      const own = lines.filter((line) => line.startsWith(`landfall_${name}_total{`));
      assert.ok(own.length <= 501, `${own.length} of ${name}`);
      assert.ok(own.includes(`landfall_${name}_total{service="(others)"} 101`));
    }
    assert.ok(lines.includes('landfall_rollouts_started_total{service="configured"} 1'));
  });

  it('say nothing of what waits while Temporal does not answer, or an alert about it would be taken back', async () => {
    const metrics = createMetrics();
    metrics.showOpen(() => Promise.reject(new Error('it does not answer')));
    const text = await metrics.text();
    assert.match(text, /^landfall_temporal_reachable 0$/m);
    assert.doesNotMatch(text, /^landfall_(?:rollouts|lane_depth|decisions_waiting|oldest_decision_age_seconds)\{/m);
  });
});
