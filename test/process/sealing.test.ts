import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyOf } from '../../src/process/sealing.ts';
import { keyFile } from '../../src/settings/seal-key.ts';

describe('the key of an embedded Temporal', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-key-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is made once, also by two at the same moment, for its owner alone', async () => {
    const data = join(folder, 'data');
    const [one, other] = await Promise.all([keyOf(data), keyOf(data)]);
    assert.match(one.keys[0], /^[0-9a-f]{64}$/);
    assert.equal(one.since, undefined);
    assert.deepEqual(other, one);
    assert.deepEqual(await keyOf(data), one);
    assert.equal((await stat(join(data, keyFile))).mode & 0o777, 0o600);
  });

  it('says since when there is one, where an earlier Landfall has left a database that has no seals', async () => {
    await writeFile(join(folder, 'temporal.db'), '');
    const made = await keyOf(folder);
    const ageMs = Date.now() - (made.since?.getTime() ?? 0);
    assert.ok(ageMs >= 0 && ageMs < 60_000, `${ageMs} ms`);
    assert.deepEqual(await keyOf(folder), made);
  });

  it('is changed by a line with two: the first one seals, both are believed', async () => {
    const { keys } = await keyOf(folder);
    const newer = 'f'.repeat(64);
    await writeFile(join(folder, keyFile), `${newer} ${await readFile(join(folder, keyFile), 'utf8')}`);
    assert.deepEqual((await keyOf(folder)).keys, [newer, ...keys]);
  });

  it('is not guessed where the file has none', async () => {
    await writeFile(join(folder, keyFile), '\n');
    await assert.rejects(keyOf(folder), /expected Landfall's key in .*landfall\.key, which is empty: /);
  });
});
