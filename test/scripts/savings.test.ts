import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { processName } from '../../scripts/setup/machine.mjs';
import { quickFork, spareWork } from '../../scripts/test/savings.mjs';

const run = promisify(execFile);
const say = (): void => {};

describe('what spares the tests work', () => {
  it('keeps temporary files in memory, and removes them, and what a killed run left', async () => {
    const env: Record<string, string | undefined> = { HOME: process.env.HOME };
    const left = `/dev/shm/landfall-${await endedProcess()}`;
    if (existsSync('/dev/shm')) await mkdir(join(left, 'landfall-engine-left'), { recursive: true });
    const remove = spareWork(env);
    const folder = env.TMPDIR;
    // A machine without that memory keeps its usual place.
    if (folder === undefined) return assert.notEqual(process.env.CI, 'true', 'expected 6 GiB in /dev/shm');
    await writeFile(join(folder, 'a'), '');
    assert.ok(!existsSync(left));
    remove();
    assert.ok(!existsSync(folder));
  });

  // Beside the current engine, where process ids are others, the folder of the run itself was removed.
  it('leaves what another run has, also one that it cannot see', async () => {
    const other = `/dev/shm/landfall-${processName()}`;
    if (!existsSync('/dev/shm')) return assert.notEqual(process.env.CI, 'true', 'expected /dev/shm');
    await mkdir(other);
    const savings = JSON.stringify(new URL('../../scripts/test/savings.mjs', import.meta.url).href);
    const script = `const { spareWork } = await import(${savings}); spareWork({})();`;
    const node = [process.execPath, '--input-type=module', '--eval', script];
    try {
      for (const [command = '', ...args] of [
        node,
        ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--mount-proc', ...node],
      ]) {
        await run(command, args);
        assert.ok(existsSync(other), command);
      }
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });

  it('leaves a folder for temporary files that is asked for', () => {
    const env = { TMPDIR: '/elsewhere', NODE_COMPILE_CACHE: '/cache', GOGC: '90' };
    spareWork(env)();
    assert.deepEqual(env, { TMPDIR: '/elsewhere', NODE_COMPILE_CACHE: '/cache', GOGC: '90' });
  });

  it('starts programs with vfork, which only changes how long that takes', async () => {
    const quick = await quickFork({ env: process.env, say });
    if (quick.length === 0) return assert.notEqual(process.env.CI, 'true', 'expected a C compiler');
    const script = `
      const { spawnSync } = require('node:child_process');
      const told = spawnSync('/bin/sh', ['-c', 'echo $MINE $LD_PRELOAD; cat; exit 3'], { env: { MINE: 'x', ...process.env }, input: 'in' });
      const refused = spawnSync('/nowhere');
      const { MINE, LD_PRELOAD, STAYS } = process.env;
      const children = Array.from({ length: 50 }, () => spawnSync('/bin/true').status);
      console.log(JSON.stringify({ status: told.status, out: String(told.stdout), code: refused.error.code, MINE, LD_PRELOAD, STAYS, children }));`;
    const unset = fileURLToPath(new URL('../support/quick-fork.cjs', import.meta.url));
    const [command = '', ...args] = [...quick, process.execPath, '--require', unset, '--eval', script];
    const { stdout } = await run(command, args, { env: { ...process.env, STAYS: 'here' } });
    const children = Array.from({ length: 50 }, () => 0);
    assert.deepEqual(JSON.parse(stdout), { status: 3, out: 'x\nin', code: 'ENOENT', STAYS: 'here', children });
  });
});

async function endedProcess(): Promise<string> {
  const { stdout } = await run(process.execPath, ['--print', 'process.pid']);
  return processName().replace(/\d+$/, stdout.trim());
}
