import assert from 'node:assert/strict';
import Docker from 'dockerode';
import { deploys } from '../../src/deploys/index.ts';
import type { ProbePlan } from '../../src/domain/plan.ts';
import { together } from '../../src/probes/answer.ts';
import { createProbes } from '../../src/probes/index.ts';
import { ensureDocker } from '../support/docker.ts';
import { startHttpServer } from '../support/http-server.ts';
import { noClusters } from '../support/no-clusters.ts';
import { deployOf, digestOf } from '../support/plans.ts';
import { watchPlan } from '../support/watch.ts';

const never = new AbortController().signal;
const probesWith = (docker: Docker) =>
  createProbes({ docker, deploys, clusters: noClusters, baseDir: '/', secrets: (value) => value, env: process.env });

describe('one reading', () => {
  const docker: ProbePlan = { kind: 'docker', restarts: 0 };

  it('is taken of all probes side by side, and proves nothing', async () => {
    const probes = probesWith(await ensureDocker());
    const server = await startHttpServer((_, response) => response.end('{"version":"old"}'));
    try {
      const version = { from: { json: '/version' }, equals: 'tag' } as const;
      const http: ProbePlan = { kind: 'http', url: `http://${server.host}/`, headers: {}, status: [], timeoutMs: 2_000, version };
      const plan = watchPlan([http, { kind: 'command', command: ['true'], timeoutMs: 2_000 }]);
      const reading = await probes.read(plan, [{ name: 'whatever', reference: 'web', digest: digestOf('A') }], never);
      assert.deepEqual(
        [reading.healthy, reading.text],
        [true, `http http://${server.host}/ answered 200; command true exited with 0`],
      );
      assert.ok(!Number.isNaN(Date.parse(reading.at)) && reading.tookMs >= 0);
    } finally {
      await server.stop();
    }
  });

  it('says where there is nothing to look at, and takes no environment of GitHub for a container', async () => {
    const probes = probesWith(await ensureDocker());
    const running = [{ name: 'production', reference: 'web' }];
    const deployment = deployOf('deployment', {
      repository: 'team/web',
      ref: 'main',
      environment: 'production',
      timeoutMs: 1,
    });
    const nothing = await probes.read(watchPlan([docker]), running, never, deployment);
    assert.deepEqual(
      [nothing.healthy, nothing.text, nothing.unanswered],
      [false, 'docker: there is no container to look at', undefined],
    );
    const containers = deployOf('docker', { containers: { names: ['production'] }, timeoutMs: 1 });
    const missing = await probes.read(watchPlan([docker]), running, never, containers);
    assert.equal(missing.text, 'docker production: there is no such container');
  });

  it('is unanswered where Docker is away, which says nothing about what runs', async () => {
    const probes = probesWith(new Docker({ socketPath: '/nowhere/docker.sock', host: undefined }));
    const reading = await probes.read(watchPlan([docker]), [{ name: 'web', reference: 'web' }], never);
    assert.deepEqual([reading.healthy, reading.unanswered], [false, true]);
    assert.match(reading.text, /^Docker did not answer \(connect ENOENT/);
  });

  it('says what failed, and nothing that did not; where Docker is away, that alone', () => {
    const answer = (kind: 'good' | 'bad' | 'none' | 'away' | 'refused') => ({ kind, text: kind });
    const of = (...kinds: Parameters<typeof answer>[0][]) => together(kinds.map(answer));
    assert.deepEqual(of('good', 'good'), { kind: 'good', text: 'good' });
    assert.deepEqual(of('good', 'none'), { kind: 'none', text: 'none' });
    assert.deepEqual(of('good', 'none', 'bad'), { kind: 'bad', text: 'bad' });
    assert.deepEqual(of('bad', 'away', 'none'), { kind: 'away', text: 'away' });
    assert.deepEqual(of('bad', 'away', 'refused'), { kind: 'refused', text: 'bad; refused' });
    assert.equal(together([{ kind: 'bad', text: `a\n${'b'.repeat(500)}` }]).text.length, 300);
  });
});
