import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTurnGuard } from '../../src/deploys/kit/turn-guard.ts';
import { Refusal } from '../../src/domain/failures.ts';

describe('the guard of turns', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-turns-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('lets the same turn and later ones in, and no earlier one, also after a restart', async () => {
    const turns = createTurnGuard(folder);
    for (const turn of [3, 3, 7]) await turns.enter('web', 'production', turn);
    await assert.rejects(createTurnGuard(folder).enter('web', 'production', 6), (error) => {
      assert.ok(error instanceof Refusal);
      assert.equal(error.type, 'TurnPassed');
      assert.match(error.message, /expected turn 7 of web in production or a later one, found turn 6/);
      return true;
    });
    await createTurnGuard(folder).enter('web', 'production', 7);
  });

  it('counts each stage of each service by itself', async () => {
    const turns = createTurnGuard(folder);
    await turns.enter('web', 'production', 9);
    for (const [service, stage] of [
      ['web', 'staging'],
      ['api', 'production'],
      ['web-production', ''],
      ['WEB', 'production'],
    ] as const) {
      await turns.enter(service, stage, 1);
    }
    assert.equal((await readdir(folder)).length, 5);
  });

  it('says which file is not as it wrote it', async () => {
    await createTurnGuard(folder).enter('web', 'production', 1);
    const [file = ''] = await readdir(folder);
    await writeFile(join(folder, file), '{}');
    await assert.rejects(createTurnGuard(folder).enter('web', 'production', 2), (error: Error) =>
      error.message.includes(join(folder, file)),
    );
  });
});
