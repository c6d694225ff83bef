import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { unlessAbsent } from './durable-file.ts';

const lookAgainMs = 500;

/** What a folder takes of the disk, in bytes. What goes away meanwhile counts for nothing. */
export async function folderSize(folder: string): Promise<number> {
  const names = (await readdir(folder, { recursive: true }).catch(unlessAbsent)) ?? [];
  let bytes = 0;
  for (const name of names) bytes += ((await lstat(join(folder, name)).catch(unlessAbsent))?.blocks ?? 0) * 512;
  return bytes;
}

/** Aborts once the folder is larger, and watches until the signal is aborted. */
export async function watchFolder(
  folder: string,
  mostBytes: number,
  tooLarge: AbortController,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    if ((await folderSize(folder)) > mostBytes) return tooLarge.abort();
    await delay(lookAgainMs, undefined, { signal }).catch(() => undefined);
  }
}
