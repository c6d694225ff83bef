import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identify } from './process-identity.ts';

/**
 * Takes a data folder for this process, so that two Landfalls never serve from the same files. What a killed process left is taken over.
 * @returns gives the folder back
 * @throws where another process that still runs has it
 */
export async function ownFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'owner.json');
  const self = await identify(process.pid);
  const claim = JSON.stringify({ pid: process.pid, started: self?.started });
  while (!(await created(file, claim))) {
    const owner = await readOwner(file);
    const running = owner === undefined ? undefined : await identify(owner.pid);
    if (owner !== undefined && running?.started === owner.started) {
      throw new Error(
        `${folder} is in use by another Landfall (process ${owner.pid}): stop that one, or choose another data folder for this one`,
      );
    }
    await rm(file, { force: true });
  }
  return () => rm(file, { force: true });
}

/** Written aside and linked into place, so that nobody ever reads half a claim. */
async function created(file: string, text: string): Promise<boolean> {
  const aside = `${file}.${process.pid}`;
  await writeFile(aside, text);
  try {
    await link(aside, file);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

/** Undefined where the file is gone, or was cut off by the crash of its writer. */
async function readOwner(file: string): Promise<{ pid: number; started: string } | undefined> {
  try {
    const owner: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof owner !== 'object' || owner === null || !('pid' in owner) || !('started' in owner)) return undefined;
    return { pid: Number(owner.pid), started: String(owner.started) };
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && 'code' in error && error.code === 'ENOENT')) return undefined;
    throw error;
  }
}
