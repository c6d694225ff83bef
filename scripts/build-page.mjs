#!/usr/bin/env node
/**
 * `node scripts/build-page.mjs [--check]`: makes src/page/assets.ts of what the page's browsers load: the bundled island, the styles and the
 * icon. It is committed, as the actions are: whoever runs Landfall from a checkout or from the package needs no bundler, and nothing is read
 * from beside the program. `--check` fails where it is stale.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, transform } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = join(root, 'src', 'page');
const file = join(page, 'assets.ts');

/** Browsers of the last two years: `light-dark()`, nested rules. */
const target = ['chrome123', 'firefox121', 'safari17.5'];

/** @returns {Promise<string>} */
async function island() {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [join(page, 'island', 'main.ts')],
    tsconfig: join(page, 'island', 'tsconfig.json'),
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target,
    write: false,
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'warning',
  });
  return outputFiles[0]?.text ?? '';
}

/** @returns {Promise<string>} */
async function styles() {
  const text = ['base.css', 'parts.css', 'pages.css'].map((name) => readFileSync(join(page, 'styles', name), 'utf8')).join('\n');
  return (await transform(text, { loader: 'css', minify: true, target, charset: 'utf8' })).code;
}

/**
 * The same on every machine.
 * @returns {Promise<string>} the text of src/page/assets.ts
 */
export async function assetsText() {
  const icon = readFileSync(join(page, 'styles', 'icon.svg'), 'utf8').trim();
  const assets = [
    { name: 'islandFile', ...named('page', 'js', await island()), type: 'text/javascript; charset=utf-8' },
    { name: 'stylesFile', ...named('page', 'css', await styles()), type: 'text/css; charset=utf-8' },
    { name: 'iconFile', file: 'icon.svg', text: icon, type: 'image/svg+xml' },
  ];
  const lines = assets.map(
    ({ name, file: asset, type, text }) =>
      `export const ${name} = { name: ${JSON.stringify(asset)}, type: ${JSON.stringify(type)}, text: ${JSON.stringify(text)} };`,
  );
  return `// Made by scripts/build-page.mjs of src/page/island and src/page/styles: do not edit it.\n${lines.join('\n')}\n`;
}

/**
 * @param {string} stem
 * @param {string} ending
 * @param {string} text
 */
function named(stem, ending, text) {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 10);
  return { file: `${stem}.${hash}.${ending}`, text };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const text = await assetsText();
  const isStale = readFileSync(file, { encoding: 'utf8', flag: 'a+' }) !== text;
  if (!process.argv.includes('--check')) {
    writeFileSync(file, text);
    console.log(`src/page/assets.ts: ${Math.round(text.length / 1024)} KiB.`);
  } else if (isStale) {
    console.error('src/page/assets.ts: expected what its sources give, found another. Run: node scripts/build-page.mjs');
    process.exitCode = 1;
  } else {
    console.log("The page's assets are those of its sources.");
  }
}
