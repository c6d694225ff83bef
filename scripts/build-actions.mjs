#!/usr/bin/env node
/**
 * `node scripts/build-actions.mjs [--check] [FOLDER...]`: bundles the GitHub Actions under actions/ (each folder with src/main.ts) into
 * dist/index.js, which a runner executes as it is: it installs nothing. `--check` builds beside it and fails where dist is stale.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The oldest runtime of GitHub's runners that the actions are for. */
const target = 'node20';

/** Dependencies that are CommonJS call `require` for Node's own modules, which an ES module does not have by itself. */
const requireForCommonJs = `import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);`;

/** Beside the bundle, so that Node takes it for an ES module wherever its folder is copied to. */
const packageFile = '{ "type": "module" }\n';

/**
 * @param {string} folder of actions, as an absolute path
 * @returns {string[]} the folders in it that are actions to be bundled, as absolute paths
 */
export function actionsIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((action) => existsSync(join(action, 'src', 'main.ts')))
    .sort();
}

/**
 * The same bytes on every machine: nothing of the place where it is built gets in.
 * @param {string} action its folder
 * @param {string} dist where to write
 */
export async function bundleAction(action, dist) {
  mkdirSync(dist, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: [join(action, 'src', 'main.ts')],
    outfile: join(dist, 'index.js'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target,
    legalComments: 'inline',
    banner: { js: requireForCommonJs },
    logLevel: 'warning',
  });
  writeFileSync(join(dist, 'package.json'), packageFile);
}

/**
 * @param {string} action its folder
 * @returns {Promise<boolean>} whether its dist is not what its sources give
 */
export async function isStale(action) {
  const fresh = mkdtempSync(join(tmpdir(), 'landfall-action-'));
  try {
    await bundleAction(action, fresh);
    return readdirSync(fresh).some((file) => {
      const kept = join(action, 'dist', file);
      return !existsSync(kept) || !readFileSync(kept).equals(readFileSync(join(fresh, file)));
    });
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** @param {readonly string[]} actions */
async function check(actions) {
  for (const action of actions) {
    const name = relative(root, action);
    if (await isStale(action)) {
      console.error(`${name}/dist: expected the bundle of ${name}/src, found another. Run: node scripts/build-actions.mjs`);
      process.exitCode = 1;
    } else console.log(`${name}/dist is up to date.`);
  }
}

/** @param {readonly string[]} actions */
async function bundle(actions) {
  for (const action of actions) {
    await bundleAction(action, join(action, 'dist'));
    const size = readFileSync(join(action, 'dist', 'index.js')).length;
    console.log(`${relative(root, action)}/dist/index.js: ${Math.round(size / 1024)} KiB.`);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({ options: { check: { type: 'boolean', default: false } }, allowPositionals: true });
  const all = actionsIn(join(root, 'actions'));
  const wanted = positionals.map((folder) => join(root, 'actions', folder));
  const unknown = wanted.filter((action) => !all.includes(action));
  if (unknown.length > 0) throw new Error(`Expected folders of actions/ with src/main.ts, found ${unknown.join(', ')}`);
  await (values.check ? check : bundle)(wanted.length > 0 ? wanted : all);
}
