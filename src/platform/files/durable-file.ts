import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../domain/errors.ts';

/** The whole file or none, for its owner alone, safe from power failures; folders are made. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const part = `${path}.${randomUUID().slice(0, 8)}.part`;
  try {
    await writeFile(part, text, { mode: 0o600, flush: true });
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  // Windows has no such thing as an open folder.
  if (process.platform !== 'win32') await sync(folder, 'r');
}

/** Undefined if there is none. */
export async function readTextIfThere(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(unlessAbsent);
}

/** For a `catch`: what is not there is undefined. */
export function unlessAbsent(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}

/** Returns once it would survive a power failure; a rename does once its folder is written. */
export async function sync(path: string, flags: 'r' | 'r+'): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
