/**
 * Folders of what runs apart (an engine, a cluster), each with a control group of its name. The kernel ends the rest of a run that was killed;
 * these the next run removes.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { hasEnded, processName } from './machine.mjs';

const prefixes = Object.freeze({ engine: 'landfall-engine-', cluster: 'landfall-cluster-' });

/** Controllers of cgroup 1 have a tree each, cgroup 2 has one for all. */
const cgroupRoot = '/sys/fs/cgroup';

/**
 * Makes an empty folder that belongs to this process; what earlier processes left is removed first.
 * @param {keyof typeof prefixes} kind
 */
export function makeOwnFolder(kind) {
  removeLeft(tmpdir());
  const folder = mkdtempSync(join(tmpdir(), prefixes[kind]));
  writeFileSync(join(folder, 'owner'), processName());
  return folder;
}

/**
 * What runs that were killed could not remove themselves.
 * @param {string} parent the folder for temporary files that they had
 * @param {{ all?: boolean }} [options] `all`: nobody uses any of it any more; else those are left whose process runs, or cannot be seen from here
 */
export function removeLeft(parent, { all = false } = {}) {
  const isOurs = (/** @type {string} */ name) => Object.values(prefixes).some((prefix) => name.startsWith(prefix));
  for (const name of readdirSync(parent).filter(isOurs)) {
    const owner = join(parent, name, 'owner');
    if (all || (existsSync(owner) && hasEnded(readFileSync(owner, 'utf8')))) removeOwnFolder(join(parent, name));
  }
}

/** @param {string} folder */
export function removeOwnFolder(folder) {
  // The last mounts may be going this moment.
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  for (const root of cgroupTrees()) removeCgroup(join(root, cgroupOf(folder)));
}

/** The control group that all of its containers are in. @param {string} folder */
export function cgroupOf(folder) {
  return basename(folder);
}

/** @returns {string[]} the root, and those of controllers */
export function cgroupTrees() {
  if (!existsSync(cgroupRoot)) return [];
  return [cgroupRoot, ...readdirSync(cgroupRoot).map((controller) => join(cgroupRoot, controller))];
}

/** @param {string} folder */
function removeCgroup(folder) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroup(join(folder, entry.name));
  for (let triesLeft = 50; ; triesLeft -= 1) {
    try {
      return rmdirSync(folder);
    } catch (error) {
      const isBusy = error instanceof Error && 'code' in error && error.code === 'EBUSY';
      if (!isBusy || triesLeft === 0) throw error;
      // The kernel is ending the last processes in it.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
}
