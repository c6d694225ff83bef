/** The cache folder outside of the checkout: what set-up makes comes there whole, or not at all. */
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from '../../src/platform/tools.mjs';

/**
 * @param {string} target where the program belongs in the cache folder
 * @param {{ env: Record<string, string | undefined> }} context
 * @param {(folder: string) => Promise<string>} make makes the program somewhere in an empty folder
 */
export async function intoCache(target, { env }, make) {
  mkdirSync(cacheFolder(env), { recursive: true });
  const folder = mkdtempSync(join(cacheFolder(env), '.fetch-'));
  try {
    const program = await make(folder);
    chmodSync(program, 0o755);
    mkdirSync(dirname(target), { recursive: true });
    renameSync(program, target);
  } finally {
    // Go makes its module cache read-only, but not what it installs.
    rmSync(folder, { recursive: true, force: true });
  }
}
