/** What spares the tests work that is not theirs, on machines that have it: a fifth of the processor time of a whole run. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, compiledFolder, findOnPath } from '../../src/platform/tools.mjs';
import { intoCache } from '../setup/cache.mjs';
import { removeLeft as removeLeftFolders } from '../setup/leftovers.mjs';
import { hasEnded, processName, runSlowly } from '../setup/machine.mjs';

/** @typedef {{ env: Record<string, string | undefined>, say: (line: string) => void }} Context */

const memory = '/dev/shm';
/** Short, because a socket's path has at most 107 characters. */
const prefix = 'landfall-';
/** The images of the current engine are there too, and whatever else the machine keeps in memory. */
const leastFreeBytes = 6 * 1024 ** 3;

/**
 * Has this process, and what it starts, keep temporary files in memory, and what Node compiles for the next process.
 * @param {Context['env']} env is changed
 * @returns {() => void} removes the files
 */
export function spareWork(env) {
  env.NODE_COMPILE_CACHE ??= compiledFolder(env);
  if (env.TMPDIR || !hasRoom()) return () => undefined;
  removeLeft();
  const folder = join(memory, `${prefix}${processName()}`);
  mkdirSync(folder, { mode: 0o700 });
  env.TMPDIR = folder;
  return () => removeRun(folder);
}

/** @param {string} folder of a run that has ended, and with it all that it started */
function removeRun(folder) {
  removeLeftFolders(folder, { all: true });
  rmSync(folder, { recursive: true, force: true });
}

function hasRoom() {
  if (process.platform !== 'linux' || !existsSync(memory)) return false;
  const { type, bavail, bsize } = statfsSync(memory);
  return type === tmpfs && bavail * bsize >= leastFreeBytes;
}

/** TMPFS_MAGIC, see statfs(2). */
const tmpfs = 0x01021994;

/** What runs that were killed could not remove themselves. */
function removeLeft() {
  for (const name of readdirSync(memory).filter((each) => each.startsWith(prefix))) {
    if (hasEnded(name.slice(prefix.length))) removeRun(join(memory, name));
  }
}

/**
 * For the processes of lanes: memory is collected less often, and by the thread that needs it (a tenth less for a file of workflows), and all of it
 * is not looked through before it has some size (another tenth). Not for what measures time: a collection may keep everything else waiting for half
 * a second.
 */
export const roomyHeap = [
  '--min-semi-space-size=64',
  '--max-semi-space-size=128',
  '--single-threaded-gc',
  '--initial-old-space-size=768',
];

const source = fileURLToPath(new URL('vfork.c', import.meta.url));

/**
 * @param {Context} context
 * @returns {Promise<string[]>} what comes before the command of a lane, so that it starts programs without copying its page tables (see vfork.c):
 *   nothing where there is no C compiler, or no x86-64 Linux
 */
export async function quickFork(context) {
  if (process.platform !== 'linux' || process.arch !== 'x64' || findOnPath('cc', context.env) === undefined) return [];
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const library = join(cacheFolder(context.env), `vfork-${hash}`, 'vfork.so');
  if (!existsSync(library)) await intoCache(library, context, (folder) => compile(folder, context));
  return ['env', `LD_PRELOAD=${library}`];
}

/**
 * @param {string} folder
 * @param {Context} context
 */
async function compile(folder, { env, say }) {
  const library = join(folder, 'vfork.so');
  await runSlowly('compiling scripts/test/vfork.c', 'cc', ['-shared', '-fPIC', '-o', library, source], { env, say });
  return library;
}
