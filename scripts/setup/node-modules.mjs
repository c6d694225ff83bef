/** Whether `node_modules` is what package-lock.json says, and `npm ci` where it is not. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runSlowly } from './machine.mjs';

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, link?: boolean }} LockedPackage
 * @typedef {Record<string, LockedPackage>} LockedPackages
 */

/**
 * Times alone would not do: a checkout touches package-lock.json. So where it is newer, the packages themselves are compared.
 * @param {string} root the checkout
 * @returns {boolean}
 */
export function nodeModulesCurrent(root) {
  const wanted = join(root, 'package-lock.json');
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return false;
  if (statSync(installed).mtimeMs >= statSync(wanted).mtimeMs) return true;
  return samePackages(packagesOf(wanted), packagesOf(installed));
}

/**
 * @param {string} file
 * @returns {LockedPackages}
 */
function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}

/**
 * Optional packages (other platforms' binaries) may be absent; everything else must be there in the locked version, and nothing else.
 * @param {LockedPackages} wanted
 * @param {LockedPackages} installed
 * @returns {boolean}
 */
export function samePackages(wanted, installed) {
  const unchanged = Object.entries(installed).every(([path, { version }]) => path === '' || wanted[path]?.version === version);
  const complete = Object.entries(wanted).every(
    ([path, { optional }]) => path === '' || optional || installed[path] !== undefined,
  );
  return unchanged && complete;
}

/**
 * @param {string} root
 * @param {{ env: Record<string, string | undefined>, say: (line: string) => void }} context
 */
export async function installNodeModules(root, { env, say }) {
  // No package that we use needs its script: one compiles what it does without as well, the others look whether all is there.
  const words = ['ci', '--no-audit', '--no-fund', '--ignore-scripts'];
  await runSlowly('installing npm packages (npm ci)', 'npm', words, { env, say, cwd: root });
}
