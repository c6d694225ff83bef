import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from '../../scripts/setup/lock.mjs';
import { cacheFolder } from '../../src/platform/tools.mjs';

const version = '4.32.5';
const run = promisify(execFile);

/** The program that SCHEMATHESIS names; otherwise one that is installed into the tool cache, the first time, by Python's own tools. */
export async function schemathesisProgram(): Promise<string> {
  const named = process.env.SCHEMATHESIS;
  if (named !== undefined) return named;
  const folder = join(cacheFolder(process.env), `schemathesis-${version}`);
  const [python, done] = [join(folder, 'venv'), join(folder, 'done')];
  await withLock(folder, console.log, async () => {
    if (existsSync(done)) return;
    await run('python3', ['-m', 'venv', '--clear', python]);
    await run(join(python, 'bin', 'pip'), ['install', '--quiet', `schemathesis==${version}`]);
    await mkdir(done);
  });
  return join(python, 'bin', 'schemathesis');
}
