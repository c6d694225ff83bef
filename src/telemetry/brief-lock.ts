import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { codeOf } from '../domain/errors.ts';

/** Whoever has it needs it for some milliseconds; one this old is of a process that was killed. */
const staleMs = 10_000;
/** It holds the event loop up. */
const longestWaitMs = 100;
const lookEveryMs = 5;

/**
 * Does something that no other process does at the same time, if it asks for the same lock. A file, as it holds between containers too.
 * @throws Error if another one has it for too long
 */
export function withBriefLock<Result>(path: string, act: () => Result): Result {
  const end = performance.now() + longestWaitMs;
  while (!take(path)) {
    removeStale(path);
    if (performance.now() > end) throw new Error(`another process has ${path}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookEveryMs);
  }
  try {
    return act();
  } finally {
    fs.rmSync(path, { force: true });
  }
}

function take(path: string): boolean {
  try {
    fs.closeSync(fs.openSync(path, 'wx', 0o640));
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Of two that find the same old one, one takes it away; the other must not take away what a third has made meanwhile. */
function removeStale(path: string): void {
  const seen = fs.statSync(path, { throwIfNoEntry: false });
  if (seen === undefined || Date.now() - seen.mtimeMs < staleMs) return;
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    fs.renameSync(path, aside);
    if (fs.statSync(aside).mtimeMs !== seen.mtimeMs) fs.linkSync(aside, path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EEXIST') throw error;
  } finally {
    fs.rmSync(aside, { force: true });
  }
}
