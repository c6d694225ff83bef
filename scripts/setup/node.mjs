#!/usr/bin/env node
/**
 * Brings the Node that Landfall runs on where the machine's own is too old: `node scripts/setup/node.mjs` prints the folder that has to come
 * first on PATH, or nothing where Node is new enough. Old ones run this, so nothing in here or in what it imports may need more than Node 18.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { howToInstall, isNodeNewEnough, tooOld } from '../../bin/node-version.mjs';
import { cacheFolder, isExecutable } from '../../src/platform/tools.mjs';
import { intoCache } from './cache.mjs';
import { withLock } from './lock.mjs';
import { answerOf, runSlowly, SetUpFailure, say } from './machine.mjs';
import { onlyFileOf } from './obtain.mjs';

/** @typedef {{ env: Record<string, string | undefined>, say: (line: string) => void }} Context */
/** @typedef {{ version: string, integrity: Readonly<Record<string, string>> }} PinnedNode */

/**
 * The packages of npm that npm's own package `node` installs, by platform, with what a lock file would say of each.
 * @type {PinnedNode}
 */
export const pinnedNode = Object.freeze({
  version: '24.21.0',
  integrity: Object.freeze({
    'linux-x64': 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    'linux-arm64': 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  }),
});

/**
 * @param {Context} context
 * @param {PinnedNode} [pinned]
 * @returns {Promise<string>} the folder that has the program `node`
 * @throws {SetUpFailure} where this machine cannot have it this way, with what to do
 */
export async function obtainNode(context, pinned = pinnedNode) {
  const node = join(cacheFolder(context.env), `node-${pinned.version}`, 'node');
  if (!isExecutable(node)) {
    await withLock(cacheFolder(context.env), context.say, async () => {
      if (!isExecutable(node)) await intoCache(node, context, (folder) => fromNpm(folder, pinned, context));
    });
  }
  return dirname(node);
}

/**
 * By npm, which knows the machine's registry and proxy; what comes has to be what is pinned, wherever it came from.
 * @param {string} folder
 * @param {PinnedNode} pinned
 * @param {Context} context
 * @returns {Promise<string>} the program, somewhere in the folder
 */
async function fromNpm(folder, { version, integrity }, { env, say }) {
  const platform = `${process.platform}-${process.arch}`;
  const expected = integrity[platform];
  if (expected === undefined) throw new SetUpFailure(`${tooOld()}, and npm has none for ${platform}: ${howToInstall}`);
  const name = `node-${platform}@${version}`;
  const what = `downloading Node ${version} (npm's ${name}), because this is ${process.versions.node}`;
  await runSlowly(what, 'npm', ['pack', '--silent', '--pack-destination', folder, name], { env, say, cwd: folder });
  const archive = join(folder, onlyFileOf(folder));
  const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (found !== expected) throw new SetUpFailure(`${name}: expected ${expected}, found ${found}: nothing of it was kept`);
  await runSlowly(`unpacking Node ${version}`, 'tar', ['-xzf', archive, '-C', folder, 'package/bin/node'], { env, say });
  const program = join(folder, 'package', 'bin', 'node');
  if (answerOf(program, ['--version'], env, 10_000) !== `v${version}`)
    throw new SetUpFailure(`${tooOld()}, and that of npm does not run on this machine: ${howToInstall}`);
  return program;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    if (!isNodeNewEnough()) console.log(await obtainNode({ env: process.env, say }));
  } catch (error) {
    if (!(error instanceof SetUpFailure)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
