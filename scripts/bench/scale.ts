import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolloutStartOptions } from '../../src/contracts/start-options.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { fakeActivities } from '../../test/support/fake-activities.ts';
import { imageOf, planOf, pushOf } from '../../test/support/plans.ts';
import { startTemporal } from '../../test/support/temporal.ts';
import { startWorkers } from '../../test/support/worker.ts';
import { paceOf } from './pace.ts';

/**
 * Not a part of the benchmark, because it has no aim: how many rollouts a worker and its Temporal server can stand where the steps cost nothing, each of
 * a service of its own, so that there is a lane for each. `node scripts/bench/scale.ts [SERVICES]`, on Linux.
 */
const services = Number(process.argv[2] ?? 1_000);
const atOnce = 32;

const folder = await mkdtemp(join(tmpdir(), 'landfall-scale-'));
const temporal = await startTemporal({ databaseFile: join(folder, 'temporal.db') });
try {
  const workers = await startWorkers(temporal, fakeActivities(temporal.client, new Map()));
  const before = process.cpuUsage();
  const begunAt = performance.now();
  const { p50Ms, p99Ms } = await paceOf(services, atOnce, async (index) => {
    const plan = planOf({ service: `service-${index}` });
    const image = imageOf(plan, `image ${index}`);
    const handle = await temporal.client.workflow.start('rollout', rolloutStartOptions({ plan, image, push: pushOf(image) }));
    const { status }: RolloutState = await handle.result();
    if (status !== 'proposed') throw new Error(`expected a proposal, found ${status}`);
  });
  const seconds = (performance.now() - begunAt) / 1_000;
  const { user, system } = process.cpuUsage(before);
  const bytes = (await Promise.all(['temporal.db', 'temporal.db-wal'].map((name) => sizeOf(join(folder, name))))).reduce(
    (a, b) => a + b,
  );
  console.log(
    `${services} rollouts of as many services, ${atOnce} at once: ${(services / seconds).toFixed(1)}/s, p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms`,
  );
  console.log(`  of processor time each: worker ${((user + system) / 1_000 / services).toFixed(1)} ms (with what starts them)`);
  console.log(`  memory: worker ${await mebibytes('self')} MiB; on the disk ${Math.round(bytes / services / 1024)} KiB each`);
  await workers.stop();
} finally {
  await temporal.stop();
  await rm(folder, { recursive: true });
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

async function mebibytes(pid: string): Promise<number> {
  const [, kib = '0'] = /^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1024);
}
