/** One set-up at a time, however many are started: the others wait, and then find everything done. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasEnded, pidOf, processName } from './machine.mjs';

/**
 * @param {string} folder the cache folder
 * @param {(line: string) => void} say
 * @param {() => Promise<void>} work
 * @returns {Promise<void>}
 */
export async function withLock(folder, say, work) {
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, 'setup.lock');
  let told = false;
  while (!taken(folder, lock)) {
    const holder = holderOf(lock);
    if (holder !== undefined && !hasEnded(holder)) {
      if (!told) say(`another set-up (process ${pidOf(holder)}) is at work; waiting for it. Where it is not, remove ${lock}`);
      told = true;
      // The holder may be another user's or another container's process: there is no event of its end to wait for.
      await new Promise((passed) => setTimeout(passed, 200));
    } else {
      discard(folder, lock, holder);
    }
  }
  try {
    await work();
  } finally {
    discard(folder, lock, processName());
  }
}

/**
 * A folder with our name in it is renamed into place: that succeeds for one only, since a folder that is not empty is never replaced.
 * @param {string} folder
 * @param {string} lock
 */
function taken(folder, lock) {
  const claim = mkdtempSync(join(folder, '.claim-'));
  writeFileSync(join(claim, 'holder'), processName());
  try {
    renameSync(claim, lock);
    return true;
  } catch (error) {
    rmSync(claim, { recursive: true });
    if (hasCode(error, 'ENOTEMPTY') || hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** @param {string} lock */
function holderOf(lock) {
  try {
    return readFileSync(join(lock, 'holder'), 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/**
 * Moved away before it is removed, which only one of several can do; what turns out to be the next holder's is put back.
 * @param {string} folder
 * @param {string} lock
 * @param {string | undefined} expected whose lock it is
 */
function discard(folder, lock, expected) {
  const away = mkdtempSync(join(folder, '.released-'));
  const moved = join(away, 'lock');
  try {
    renameSync(lock, moved);
    if (holderOf(moved) !== expected) renameSync(moved, lock);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  } finally {
    rmSync(away, { recursive: true, force: true });
  }
}

/**
 * @param {unknown} error
 * @param {string} code
 */
function hasCode(error, code) {
  return error instanceof Error && 'code' in error && error.code === code;
}
