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

/** What was to be done made a folder larger than it may be. */
export class FolderTooLarge extends Error {}

/** Does what fills a folder, and stops it once that is larger. @throws FolderTooLarge, and what it throws itself */
export async function withinFolder(
  folder: string,
  mostBytes: number,
  signal: AbortSignal,
  act: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const tooLarge = new AbortController();
  const watching = watchFolder(folder, mostBytes, tooLarge, over.signal);
  try {
    await act(AbortSignal.any([signal, tooLarge.signal]));
  } catch (error) {
    signal.throwIfAborted();
    throw tooLarge.signal.aborted ? new FolderTooLarge(`${folder} has more than ${mostBytes} bytes`) : error;
  } finally {
    over.abort();
    await watching;
  }
}

async function watchFolder(folder: string, mostBytes: number, tooLarge: AbortController, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    if ((await folderSize(folder)) > mostBytes) return tooLarge.abort();
    await delay(lookAgainMs, undefined, { signal: over }).catch(() => undefined);
  }
}
