/**
 * The command of a clone, bundled: kept in node_modules until one of its sources, or a package, is another. Nothing but Node's own modules is
 * loaded while it is as it was.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** @typedef {{ folder: string, sources: Record<string, string> }} KeptCommand `sources`: what tells one state of each from another */

/** Another process may still load parts of an older one. */
const keepOlderMs = 2 * 3_600_000;

/**
 * @param {string} root the checkout
 * @returns {Promise<string>} the program: the bundle, or the sources where there can be none
 */
export async function commandOfClone(root) {
  const cache = join(root, 'node_modules', '.cache', 'landfall-command');
  const known = readKept(cache);
  if (known !== undefined && Object.entries(known.sources).every(([name, state]) => stateOf(join(root, name)) === state))
    return join(cache, known.folder, 'command.mjs');
  try {
    return await bundleAnew(root, cache);
  } catch (error) {
    // A checkout that may not be written to, or one without what it is developed with.
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!['EACCES', 'EROFS', 'EPERM', 'ERR_MODULE_NOT_FOUND'].includes(code)) throw error;
    return join(root, 'command.ts');
  }
}

/**
 * @param {string} root
 * @param {string} cache
 */
async function bundleAnew(root, cache) {
  const begunAt = Date.now();
  const { bundleCommand } = await import('../bundle-programs.mjs');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'bundle-'));
  const inputs = await bundleCommand({ root, entry: join(root, 'command.ts'), folder });
  const others = ['package.json', 'node_modules/.package-lock.json', 'scripts/bundle-programs.mjs'].map((name) =>
    join(root, name),
  );
  const sources = Object.fromEntries([...inputs, ...others].map((file) => [relative(root, file), stateOf(file)]));
  // What was changed while it was read is read again by the next.
  const isCurrent = inputs.every((file) => statSync(file).mtimeMs < begunAt);
  if (isCurrent) keep(cache, { folder: relative(cache, folder), sources });
  return join(folder, 'command.mjs');
}

/**
 * @param {string} cache
 * @param {KeptCommand} kept
 */
function keep(cache, kept) {
  const draft = join(cache, kept.folder, 'kept.json');
  writeFileSync(draft, JSON.stringify(kept));
  renameSync(draft, join(cache, 'kept.json'));
  for (const name of readdirSync(cache)) {
    const path = join(cache, name);
    const isOld = name !== kept.folder && Date.now() - statSync(path).mtimeMs > keepOlderMs;
    if (isOld) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * @param {string} cache
 * @returns {KeptCommand | undefined}
 */
function readKept(cache) {
  try {
    return JSON.parse(readFileSync(join(cache, 'kept.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** @param {string} file */
function stateOf(file) {
  const found = statSync(file, { throwIfNoEntry: false });
  return `${found?.mtimeMs} ${found?.size}`;
}
