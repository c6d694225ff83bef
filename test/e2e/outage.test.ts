import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { stateQuery } from '../../src/contracts/messages.ts';
import { rolloutId } from '../../src/contracts/start-options.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { startTemporal } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { goodImage, startWorld, type World } from '../support/world.ts';

describe('an outage of Temporal', function () {
  this.timeout(180_000);
  let world: World | undefined;
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.error(world?.lastWords());
    await world?.stop();
    world = undefined;
  });

  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-outage-'));
  });
  after(() => rm(folder, { recursive: true }));

  for (const how of ['is killed', 'answers nothing'] as const) {
    it(`where it ${how} gets 503 and Retry-After within 10 s; back again, deliveries are accepted and rollouts go on`, async () => {
      const temporal = await startTemporal({ databaseFile: join(folder, `${how.replace(' ', '-')}.db`) });
      world = await startWorld({ forge: 'git', temporal });
      await world.start();
      const blocked = await world.push('latest', { busybox: true, cmd: ['false'] });
      await world.until('latest', blocked, 'blocked');
      if (how === 'is killed') await temporal.kill();
      else temporal.freeze();

      const started = Date.now();
      const refused = await world.deliver('latest', blocked);
      assert.equal(refused.status, 503);
      assert.ok(Number(refused.headers.get('retry-after')) > 0);
      assert.ok(Date.now() - started < 10_000, `${Date.now() - started} ms`);
      const ready = await fetch(`${world.operators}/readyz`);
      assert.equal(ready.status, 503);

      if (how === 'is killed') await temporal.start();
      else temporal.thaw();
      await eventually('the next delivery to be accepted', async () => (await world?.deliver('latest', blocked))?.status === 202);
      await world.until('latest', blocked, 'blocked');
      await eventually('a decision to be taken', () =>
        (world as World)
          .rollout('latest', blocked)
          .executeUpdate('skip', { args: [{ reason: 'a test' }] })
          .then(() => true),
      );
      await world.until('latest', blocked, 'proposed', 90_000);
    });
  }

  it('that is embedded and killed by SIGKILL loses no accepted rollout', async () => {
    world = await startWorld({ forge: 'git', embedded: true });
    const landfall = await world.start();
    const { pid } = JSON.parse(await readFile(join(world.folder, 'data', 'temporal.json'), 'utf8'));
    const digest = await world.push('latest', goodImage);
    assert.equal((await world.deliver('latest', digest)).status, 202);
    process.kill(pid, 'SIGKILL');
    await landfall.kill();
    await world.start();
    const { address } = JSON.parse(await readFile(join(world.folder, 'data', 'temporal.json'), 'utf8'));
    const connection = await Connection.connect({ address });
    const handle = new Client({ connection }).workflow.getHandle(rolloutId('web', { tag: 'latest' as Tag, digest }));
    await eventually('the rollout to end', async () => (await handle.query(stateQuery)).status === 'proposed', 60_000);
    const state: RolloutState = await handle.result();
    assert.equal(state.status, 'proposed');
    await connection.close();
  });

  it('with SIGTERM it drains, exits 0, and a second start goes on with what was running', async () => {
    world = await startWorld({ forge: 'git', embedded: true });
    await world.start();
    const digest = await world.push('latest', { busybox: true, cmd: ['false'] });
    await eventually('the delivery to be accepted', async () => (await world?.deliver('latest', digest))?.status === 202);
    assert.equal(await world.landfall().stop(), 0);
    await world.start();
    const { address } = JSON.parse(await readFile(join(world.folder, 'data', 'temporal.json'), 'utf8'));
    const connection = await Connection.connect({ address });
    const handle = new Client({ connection }).workflow.getHandle(rolloutId('web', { tag: 'latest' as Tag, digest }));
    await eventually('the rollout to be blocked', async () => (await handle.query(stateQuery)).status === 'blocked', 60_000);
    await connection.close();
  });
});
