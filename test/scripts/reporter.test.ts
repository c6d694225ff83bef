import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mochaArguments } from '../../scripts/test/files.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('the report of the tests', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-reporter-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  interface Report {
    readonly lines: readonly string[];
    readonly end: { readonly lastLine: string | undefined; readonly status: number | null };
  }

  async function report(tests: string, ci: boolean, ...others: string[]): Promise<Report> {
    const file = join(folder, 'a.test.cjs');
    await writeFile(file, tests);
    const mocha = [
      join(root, 'node_modules/mocha/bin/mocha.js'),
      '--no-config',
      '--reporter',
      'test/support/reporter.cjs',
      file,
      ...others,
    ];
    const env = { ...process.env, CI: ci ? 'true' : '' };
    const { status, stdout } = spawnSync(process.execPath, mocha, { cwd: root, encoding: 'utf8', env });
    const lines = stdout.trimEnd().split('\n');
    return { lines, end: { status, lastLine: lines.at(-1) } };
  }

  const passing = "it('a', () => undefined);";

  it('ends with the plain count', async () => {
    assert.deepEqual((await report(`${passing} ${passing}`, true)).end, { lastLine: '2 passed, 0 failed', status: 0 });
  });

  it('ends with the count, after the failures, when tests fail', async () => {
    const failing = "it('b', () => { throw new Error('no'); });";
    assert.deepEqual((await report(passing + failing, false)).end, { lastLine: '1 passed, 1 failed', status: 1 });
  });

  it('names the seconds of each file before that, hooks included, slowest first', async () => {
    const slow = join(folder, 'slow.test.cjs');
    await writeFile(slow, "describe('s', () => { before((done) => setTimeout(done, 300)); it('c', () => undefined); });");
    const { lines } = await report("describe('q', () => { it('d', () => undefined); });", true, slow);
    assert.match(lines.at(-3) ?? '', /^ +0\.[3-9] s {2}\S+\/slow\.test\.cjs$/);
    assert.match(lines.at(-2) ?? '', /^ +0\.0 s {2}\S+\/a\.test\.cjs$/);
  });

  it('names skipped tests, and in CI fails because of them', async () => {
    const skipped = `${passing} it('later');`;
    assert.deepEqual((await report(skipped, false)).end, { lastLine: '1 passed, 0 failed, 1 skipped', status: 0 });
    assert.deepEqual((await report(skipped, true)).end, { lastLine: '1 passed, 0 failed, 1 skipped', status: 1 });
  });

  it('is about every test where no file is named, and only about the named ones else', () => {
    assert.equal(mochaArguments(['--grep', 'lane']).at(-1), 'test/**/*.test.ts');
    assert.equal(mochaArguments(['test/a.test.ts']).at(-1), 'test/a.test.ts');
    assert.deepEqual(mochaArguments(['test/replay/']), ['test/replay/**/*.test.ts']);
  });
});
