import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Repository } from '../../../src/domain/image-reference.ts';
import { StoredTags } from '../../../src/platform/registry/stored-tags.ts';
import { sha256 } from '../../support/images.ts';
import { tagOf } from '../../support/registry-client.ts';

const dayMs = 24 * 60 * 60_000;
const madeAt = (number: number) => new Date(Date.UTC(2026, 0, 1) + number * 1_000).toISOString();

describe('what is known of tags', () => {
  let folder: string;
  const warnings: string[] = [];
  const log = { warn: (_: object, message: string) => void warnings.push(message) };
  const repository = 'example.org/team/app' as Repository;
  const open = (of = repository, more = {}) => StoredTags.open(of, { folder, log, ...more });

  /** Stores tags `main-0`, `main-1` and so on, each of an image of its own. */
  async function fill(count: number, of = repository): Promise<StoredTags> {
    const stored = await open(of);
    for (let number = 0; number < count; number += 1)
      stored.learn(tagOf(`main-${number}`), sha256(`${of} ${number}`), madeAt(number));
    return stored;
  }

  async function onlyFile(): Promise<string> {
    const [name, ...others] = await readdir(folder);
    assert.ok(name !== undefined && others.length === 0);
    return join(folder, name);
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-tags-'));
    warnings.length = 0;
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is there for the next process, of each repository its own, with what a digest is by whatever tag', async () => {
    const stored = await fill(3);
    stored.learn(tagOf('main-1'), sha256('moved'), undefined);
    await stored.close();
    const again = await open();
    assert.deepEqual(again.get(tagOf('main-2')), { digest: sha256(`${repository} 2`), created: madeAt(2) });
    assert.deepEqual(again.get(tagOf('main-1')), { digest: sha256('moved') });
    assert.deepEqual(again.of(sha256(`${repository} 1`)), { digest: sha256(`${repository} 1`), created: madeAt(1) });
    const other = 'example.org/team/other' as Repository;
    assert.deepEqual((await open(other)).tags(), []);
    // Nor is it taken for another one's where the file is.
    await (await fill(1, other)).close();
    const [one, two] = (await readdir(folder)).sort().map((name) => join(folder, name));
    assert.ok(one && two);
    await writeFile(two, await readFile(one));
    assert.deepEqual((await open(other)).tags(), []);
  });

  it('loses its last lines at most with a process that is killed, and what was cut or broken is not believed', async () => {
    // Never closed.
    await fill(250);
    assert.equal((await open()).tags().length, 200);
    const file = await onlyFile();
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.slice(0, -20));
    assert.equal((await open()).tags().length, 199);
    const more = await open();
    more.learn(tagOf('main-more'), sha256('more'), madeAt(0));
    await more.close();
    assert.equal((await open()).tags().length, 200, 'expected a line after one that was cut to be a line');
    await writeFile(file, text.replaceAll('2026-01-01T00:00:1', '2027-01-01T00:00:1'));
    const changed = await open();
    assert.equal(changed.tags().length, 190);
    assert.equal(changed.get(tagOf('main-10')), undefined);
    await writeFile(file, Buffer.alloc(100_000, 0xff));
    assert.deepEqual((await open()).tags(), []);
    assert.deepEqual(warnings, []);
  });

  it('is asked for again once a day, each tag at a time of its own', async () => {
    const stored = await fill(200);
    const noon = Date.UTC(2026, 5, 1, 12);
    assert.deepEqual(stored.due(noon), [], 'expected what was learned a moment ago not to be asked for');
    stored.settle(noon);
    await stored.close();
    const seen: string[] = [];
    for (let minutes = 5; minutes <= 24 * 60; minutes += 5) {
      const now = noon + minutes * 60_000;
      // Another process each time.
      const later = await open();
      const due = later.due(now);
      assert.ok(due.length < 10, `${due.length} at once`);
      seen.push(...due);
      later.settle(now);
      await later.close();
    }
    assert.deepEqual([...seen].sort(), stored.tags().sort());
    assert.equal((await open()).due(noon + 3 * dayMs).length, 200, 'expected all of them after a pause of days');
    assert.deepEqual((await open()).due(noon - 3 * dayMs), [], 'expected none where the clock was set back');
  });

  it('has a file that does not grow without an end, nor keeps what is not there any more', async () => {
    const stored = await fill(10);
    await stored.close();
    const file = await onlyFile();
    for (let round = 0; round < 12; round += 1) {
      const again = await open();
      for (let moved = 0; moved < 100; moved += 1) again.learn(tagOf('main-0'), sha256(`${round} ${moved}`), madeAt(moved));
      again.settle(round);
      again.keepOnly(again.tags().filter((tag) => tag !== 'main-9'));
      await again.close();
    }
    const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
    assert.ok(lines.length < 300, `${lines.length} lines`);
    const last = await open();
    assert.deepEqual(last.tags().length, 9);
    assert.deepEqual(last.get(tagOf('main-0'))?.digest, sha256('11 99'));
  });

  it('makes room for another repository by what was not used for the longest time', async () => {
    for (const [at, name] of ['old', 'older', 'new'].entries()) {
      await (await fill(10, `example.org/${name}` as Repository)).close();
      const file = (await readdir(folder)).find((found) => found.startsWith(`example.org-${name}-`)) ?? '';
      const used = new Date(Date.UTC(2026, 0, [2, 1, 3][at]));
      await utimes(join(folder, file), used, used);
    }
    await open(repository, { mostBytes: 2_500 });
    assert.deepEqual((await readdir(folder)).map((name) => name.split('-')[1]).sort(), ['new', 'old']);
  });

  it('is nothing where the folder cannot be used, and says so', async () => {
    const blocked = join(folder, 'file');
    await appendFile(blocked, '');
    const stored = await open(repository, { folder: blocked });
    stored.learn(tagOf('main'), sha256('x'), madeAt(0));
    await stored.close();
    assert.equal(stored.get(tagOf('main'))?.created, madeAt(0));
    assert.match(warnings.join('\n'), /what is known of tags cannot be kept.*mend the folder or disk/);
  });
});
