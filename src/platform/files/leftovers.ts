import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessAbsent } from './durable-file.ts';

/** Makes a folder where there is none, and removes from it what has not changed for so long. Whoever left it was killed. */
export async function removeOlder(folder: string, ms: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    const left = join(folder, name);
    // Another one may be done with it in between.
    const found = await stat(left).catch(unlessAbsent);
    if (found && Date.now() - found.mtimeMs > ms) await rm(left, { recursive: true, force: true });
  }
}
