import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweepArtifacts } from '../../src/platform/artifacts.ts';

const dayMs = 24 * 60 * 60 * 1000;

describe('old artifacts', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-artifacts-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Of an image that was scanned so many days ago. */
  async function put(name: string, days: number, bytes: number): Promise<void> {
    const path = join(folder, 'sha256', name);
    await mkdir(path, { recursive: true });
    for (const file of ['trivy.json', 'scan.json']) {
      await writeFile(join(path, file), Buffer.alloc(bytes / 2));
      const at = new Date(Date.now() - days * dayMs);
      await utimes(join(path, file), at, at);
    }
  }
  const left = async () => (await readdir(join(folder, 'sha256'))).sort();

  it('are removed by age, and the oldest first where they are too much', async () => {
    for (const [name, days] of [
      ['a', 91],
      ['b', 40],
      ['c', 30],
      ['d', 20],
    ] as const)
      await put(name, days, 1_000);
    assert.equal(await sweepArtifacts(folder, { longestMs: 90 * dayMs, mostBytes: 10_000 }), 1);
    assert.deepEqual(await left(), ['b', 'c', 'd']);
    assert.equal(await sweepArtifacts(folder, { longestMs: 90 * dayMs, mostBytes: 2_500 }), 1);
    assert.deepEqual(await left(), ['c', 'd']);
  });

  it('stay where they are of the last day, however much that is', async () => {
    await put('new', 0, 5_000);
    await put('old', 2, 1_000);
    assert.equal(await sweepArtifacts(folder, { longestMs: 90 * dayMs, mostBytes: 1_000 }), 1);
    assert.deepEqual(await left(), ['new']);
  });

  it('need not be there', async () => {
    assert.equal(await sweepArtifacts(join(folder, 'nothing'), { longestMs: 1, mostBytes: 1 }), 0);
  });
});
