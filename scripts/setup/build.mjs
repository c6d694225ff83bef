/**
 * What ships (plain JavaScript, and the bundles of the service, the command and the workflows), built once for all the tests that start it: ready
 * in 1.5 s instead of 8 s from the sources. It lies in node_modules, because `npm start` and the command prefer a `dist` where there is one. Beside it the same
 * with shorter times in contracts/timing.ts, so that tests of killed workers do not wait for what ships each time.
 */
import { cpSync, existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { runSlowly } from './machine.mjs';

/** @typedef {'shipped' | 'quick'} Timing */

const quickTiming = `export const heartbeatTimeout = '3s';
export const heartbeatThrottle = '1s';
export const stickyTimeout = '1s';
`;

/** @param {string} root the checkout @param {Timing} [timing] */
const folderOf = (root, timing = 'shipped') => join(root, 'node_modules', '.cache', 'landfall-build', timing);
/** Written last, with the time at which the build began. @param {string} root */
const stampOf = (root) => join(folderOf(root), '..', 'complete');

/** The program of the service, in what `builtDist` gives as in `dist`. */
export const serviceProgram = 'service/service.mjs';

/**
 * @param {string} root the checkout
 * @param {Timing} [timing]
 * @returns {string | undefined} the folder of what ships, as `dist` is, where a build is there and no source is newer
 */
export function builtDist(root, timing = 'shipped') {
  if (!existsSync(stampOf(root))) return undefined;
  return newestSource(root) < statSync(stampOf(root)).mtimeMs ? folderOf(root, timing) : undefined;
}

/**
 * @param {string} root the checkout
 * @param {{ env: Record<string, string | undefined>, say: (line: string) => void }} context
 * @throws Error where it cannot be built, with what the compiler said
 */
export async function buildService(root, { env, say }) {
  if (builtDist(root) !== undefined) return;
  await withLock(join(root, 'node_modules'), say, async () => {
    if (builtDist(root) !== undefined) return;
    const begunAt = new Date();
    const [folder, quick] = [folderOf(root), folderOf(root, 'quick')];
    rmSync(join(folder, '..'), { recursive: true, force: true });
    const context = { env, say, cwd: root };
    const compile = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', folder];
    await runSlowly('building the service for the tests', process.execPath, compile, context);
    cpSync(folder, quick, { recursive: true });
    writeFileSync(join(quick, 'src/contracts/timing.js'), quickTiming);
    const bundle = (/** @type {string[]} */ ...args) => ['scripts/bundle-workflows.ts', ...args];
    const shipped = bundle(join(folder, 'workflow-bundle.js'));
    const hurried = bundle(join(quick, 'workflow-bundle.js'), join(quick, 'src/workflows/index.js'));
    const { bundleCommand, bundleService } = await import('../bundle-programs.mjs');
    await Promise.all([
      bundleCommand({ root, entry: join(folder, 'command.js'), folder: join(folder, 'command') }),
      ...[folder, quick].map((each) => bundleService({ root, entry: join(each, 'worker.js'), folder: join(each, 'service') })),
      runSlowly('bundling the workflows for the tests', process.execPath, shipped, context),
      runSlowly('bundling them with shorter times', process.execPath, hurried, context),
    ]);
    writeFileSync(stampOf(root), '');
    utimesSync(stampOf(root), begunAt, begunAt);
  });
}

/**
 * @param {string} root
 * @returns {number} in ms; folders count too, as a removed file changes only its folder
 */
function newestSource(root) {
  const sources = join(root, 'src');
  const inside = readdirSync(sources, { recursive: true, encoding: 'utf8' }).map((name) => join(sources, name));
  const others = [
    ...['worker.ts', 'command.ts', 'scripts/bundle-programs.mjs', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
  ].map((name) => join(root, name));
  return Math.max(...[sources, ...inside, ...others].map((path) => statSync(path).mtimeMs));
}
