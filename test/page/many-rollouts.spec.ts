/*
 * Runs alone: it measures time. Part of `npm run test:operators`, apart from `npm test`, as 10,000 workflows take some minutes.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Connection, type ConnectionOptions } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import { sealedClient } from '../../src/contracts/sealed-client.ts';
import { rolloutId, searchAttributes, taskQueues } from '../../src/contracts/start-options.ts';
import { concurrently } from '../../src/domain/concurrently.ts';
import type { Digest, Tag } from '../../src/domain/image-reference.ts';
import { type OperatorListener, startOperators } from '../api/support/operators.ts';
import { startNamespace, type TestNamespace, testSealing } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';

const count = Number(process.env.LANDFALL_ROLLOUTS ?? 10_000);
const perService = count / 10;
/** A page has to be there in this time on a machine that does nothing else: LANDFALL_SLOWER=4 allows four times as much. */
const longestMs = 200 * Number(process.env.LANDFALL_SLOWER ?? 1);

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];

interface Listed {
  readonly rows: readonly { readonly rollout: string; readonly service: string; readonly status: string }[];
  readonly next?: string;
}

describe(`a list of ${count} rollouts`, function () {
  this.timeout(30 * 60_000);
  let temporal: TestNamespace;
  let counted: Connection;
  let folder: string;
  let api: OperatorListener;
  /** Calls of Temporal by the listener. */
  let calls = 0;

  before(async () => {
    setFlagsFromString('--expose-gc');
    folder = await mkdtemp(join(tmpdir(), 'landfall-many-'));
    temporal = await startNamespace();
    await endRollouts(temporal);
    counted = await Connection.connect({
      address: temporal.address,
      interceptors: [
        (options, next) => {
          calls += 1;
          return next(options) as ReturnType<Interceptor>;
        },
      ],
    });
    const client = sealedClient({ connection: counted, namespace: temporal.namespace, sealing: testSealing });
    api = await startOperators(client, folder, 'services: [{ name: s0, image: registry.example.test/team/s0 }]\n');
  });
  after(async () => {
    await api?.stop();
    await counted?.close();
    await temporal?.stop();
    await rm(folder, { recursive: true });
  });

  const list = async (query: string): Promise<Listed> => {
    const { status, body } = await api.ask<Listed>(`/rollouts?${query}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };

  const middle = digestOf(count / 2);
  for (const [what, query, rows] of [
    ['the newest', 'limit=50', 50],
    ['those of a service', 'limit=50&service=s3', 50],
    ['those of a status', 'limit=50&status=failed', 50],
    ['those of a service, a status and a time', 'limit=50&service=s3&status=delivered&from=2020-01-01T00:00:00Z', 50],
    ['one by its image', `limit=50&image=registry.example.test/team/s0:1.0.${count / 2}`, 1],
    ['one by the beginning of its digest', `limit=50&digest=${middle.slice(0, 19)}`, 1],
  ] as const) {
    it(`gives a page of ${what} in under ${longestMs} ms, for one call of Temporal`, async () => {
      const before = calls;
      assert.equal((await list(query)).rows.length, rows);
      assert.equal(calls - before, 1);
      const times = await timed(15, () => list(query));
      console.log(`      median ${median(times)} ms, longest ${Math.max(...times)} ms`);
      assert.ok(median(times) < longestMs, times.join(', '));
    });
  }

  it('has every rollout once, from page to page, and a late page is no slower', async () => {
    const seen = new Set<string>();
    const times: number[] = [];
    let next: string | undefined;
    do {
      const query = `limit=500${next === undefined ? '' : `&cursor=${next}`}`;
      const [took, page] = await timeOf(() => list(query));
      for (const { rollout } of page.rows) seen.add(rollout);
      times.push(took);
      next = page.next;
    } while (next !== undefined);
    assert.equal(seen.size, count);
    console.log(`      pages of 500: median ${median(times)} ms, the last ones ${times.slice(-3).join(', ')} ms`);
  });

  it('is shown by pages, which a hundred people cost Temporal no more than one', async () => {
    for (const path of ['/rollouts', '/rollouts?service=s3', '/services/s3', '/']) {
      const of = async (pages: number): Promise<number> => {
        // What was read a moment ago serves nobody any more.
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        const before = calls;
        const answers = await Promise.all(Array.from({ length: pages }, () => fetch(`${api.url}${path}`)));
        for (const answer of answers) assert.equal(answer.status, 200, await answer.text());
        return calls - before;
      };
      const [one, hundred] = [await of(1), await of(100)];
      console.log(`      ${path}: ${one} calls of Temporal for one page, ${hundred} for a hundred`);
      // All are asked for at once, and answered one after the other: it may have to be read a second time.
      assert.ok(hundred <= one * 3, `${hundred} calls for 100 pages of ${path}, ${one} for one`);
    }
  });

  it('has streams, of which a hundred cost Temporal no more than one, and memory that does not grow with what is asked', async () => {
    const open = (): Promise<Response> => fetch(`${api.url}/live?of=all`, { signal: stop.signal });
    const stop = new AbortController();
    const during = async (ms: number): Promise<number> => {
      const before = calls;
      await new Promise((resolve) => setTimeout(resolve, ms));
      return calls - before;
    };
    const streams = [await open()];
    const one = await during(5_000);
    streams.push(...(await Promise.all(Array.from({ length: 99 }, open))));
    const hundred = await during(5_000);
    console.log(`      in 5 s ${one} calls of Temporal for one stream, ${hundred} for a hundred`);
    assert.ok(one > 0 && hundred <= one * 1.5 + 5, `${hundred} calls for 100 streams, ${one} for one`);
    for (let warm = 0; warm < 50; warm += 1) await list('limit=50');
    const before = heapMiB();
    for (let asked = 0; asked < 400; asked += 1) await list(`limit=50&service=s${asked % 10}`);
    const grown = heapMiB() - before;
    console.log(`      ${Math.round(before)} MiB of heap, and ${grown.toFixed(1)} MiB more after 400 lists`);
    assert.ok(grown < 20, `${grown} MiB`);
    stop.abort();
    await Promise.all(streams.map((stream) => stream.text().catch(() => undefined)));
  });
});

/** Rollouts that have ended, each with the columns of one; the later half of a service's failed. */
async function endRollouts({ address, namespace, client }: TestNamespace): Promise<void> {
  const connection = await NativeConnection.connect({ address });
  const workflowsPath = fileURLToPath(new URL('./ended-rollouts.ts', import.meta.url));
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: taskQueues.main,
    workflowsPath,
    maxCachedWorkflows: 100,
  });
  const running = worker.run();
  const at = Date.parse('2026-01-01T00:00:00Z');
  const all = Array.from({ length: count }, (_, index) => index);
  const begunAt = Date.now();
  await concurrently(all, 32, async (index) => {
    const [service, tag, digest] = [`s${index % 10}`, `1.0.${index}` as Tag, digestOf(index)];
    await client.workflow.start('rollout', {
      ...{ workflowId: rolloutId(service, { tag, digest }), taskQueue: taskQueues.main, args: [] },
      memo: { reason: 'production: 1 of 1 healthy', proposal: `https://forge.example/pull/${index}` },
      typedSearchAttributes: new TypedSearchAttributes([
        { key: searchAttributes.service, value: service },
        { key: searchAttributes.image, value: `registry.example.test/team/${service}:${tag}` },
        { key: searchAttributes.digest, value: digest },
        { key: searchAttributes.status, value: index % perService < perService / 2 ? 'delivered' : 'failed' },
        { key: searchAttributes.stage, value: 'production' },
        { key: searchAttributes.changedAt, value: new Date(at + index * 1_000) },
      ]),
    });
  });
  const query = "WorkflowType = 'rollout' AND ExecutionStatus = 'Completed'";
  await eventually('all to have ended', async () => (await client.workflow.count(query)).count === count, 600_000);
  console.log(`      ${count} rollouts in ${Math.round((Date.now() - begunAt) / 1000)} s`);
  worker.shutdown();
  await running;
  await connection.close();
}

function digestOf(index: number): Digest {
  return `sha256:${createHash('sha256').update(String(index)).digest('hex')}` as Digest;
}

async function timeOf<Result>(work: () => Promise<Result>): Promise<[number, Result]> {
  const begunAt = performance.now();
  const result = await work();
  return [Math.round(performance.now() - begunAt), result];
}

async function timed(times: number, work: () => Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  for (let time = 0; time < times; time += 1) took.push((await timeOf(work))[0]);
  return took;
}

function median(times: readonly number[]): number {
  return [...times].sort((one, other) => one - other)[Math.floor(times.length / 2)] ?? 0;
}

/** Of what is still in use. */
function heapMiB(): number {
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed / 1024 / 1024;
}
