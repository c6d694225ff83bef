#!/usr/bin/env node
/**
 * `node scripts/complete-lock-file.mjs`: adds to package-lock.json the optional packages of other platforms that npm leaves out where the
 * registry at hand does not have them. Without them `npm ci` refuses the file, and machines of those platforms get no binaries.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * @typedef {{ version?: string, optional?: boolean, dev?: boolean, os?: string[], cpu?: string[], libc?: string[],
 *   optionalDependencies?: Record<string, string> }} Package
 * @typedef {{ packages: Record<string, Package> }} LockFile
 */

/** `@swc/core-linux-x64-gnu`, `@biomejs/cli-darwin-arm64`: how binaries are named by platform. */
const platform =
  /[-/](aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-([a-z0-9]+)(?:-(gnu|musl|msvc|gnueabihf|eabi|musleabihf))?$/;

/**
 * @param {LockFile} lock
 * @returns {Record<string, Package>} the entries that it lacks, by their key
 */
export function missingPackages({ packages }) {
  /** @type {Record<string, Package>} */
  const missing = {};
  for (const { dev, optionalDependencies = {} } of Object.values(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const [, os, cpu, libc] = platform.exec(name) ?? [];
      const known = Object.keys(packages).some((key) => key.endsWith(`node_modules/${name}`));
      if (known || os === undefined || cpu === undefined) continue;
      missing[`node_modules/${name}`] = {
        version: version.replace(/^[\^~]/, ''),
        cpu: [cpu],
        ...(dev ? { dev } : {}),
        ...(libc === 'gnu' || libc === 'musl' ? { libc: [libc === 'gnu' ? 'glibc' : libc] } : {}),
        optional: true,
        os: [os],
      };
    }
  }
  return missing;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = fileURLToPath(new URL('../package-lock.json', import.meta.url));
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  const missing = missingPackages(lock);
  const [root = ['', {}], ...rest] = Object.entries({ ...lock.packages, ...missing });
  rest.sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries([root, ...rest]);
  if (Object.keys(missing).length > 0) writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`${Object.keys(missing).length} packages of other platforms added to package-lock.json.`);
}
