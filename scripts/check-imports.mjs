#!/usr/bin/env node
/**
 * The dependency rules of the source tree, enforced: who may import whom, and who may read the environment. Part of `npm run check`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * @typedef {{ imports: readonly string[], packages?: RegExp }} Rule
 * `imports` are folders or files under src; `packages` is what a file may import from outside at run time.
 * @typedef {{ specifier: string, typeOnly: boolean, line: number }} Import
 * @typedef {{ file: string, line: number, message: string }} Problem
 */

const world = ['domain', 'platform'];

/** @type {Readonly<Record<string, Rule>>} */
export const rules = Object.freeze({
  // Pure: no I/O, no Temporal.
  domain: { imports: [], packages: /^(?!node:|@temporalio\/)/ },
  // What workflows, activities, the API and the command agree on.
  contracts: { imports: ['domain'] },
  // Each kind brings its own settings: docs/decisions/0029-kinds.md. The kinds know nothing of config.
  config: { imports: ['domain', 'settings', 'http', 'sources', 'checks', 'deploys', 'forges', 'notifiers', 'builds'] },
  // What a setting is made of: durations, sizes, references to secrets, wording of problems.
  settings: { imports: ['domain'] },
  // A kit for whoever listens: nothing of sources, services or workflows.
  http: { imports: ['domain', 'settings', 'platform'] },
  sources: { imports: ['domain', 'settings', 'http'] },
  platform: { imports: ['domain'] },
  checks: { imports: [...world, 'settings'] },
  // How commits become images.
  builds: { imports: [...world, 'settings', 'forges'] },
  probes: { imports: [...world, 'deploys'] },
  deploys: { imports: [...world, 'settings'] },
  forges: { imports: [...world, 'settings'] },
  notifiers: { imports: [...world, 'settings'] },
  telemetry: { imports: [...world, 'settings'] },
  activities: { imports: [...world, 'contracts', 'checks', 'deploys', 'forges', 'notifiers', 'probes', 'builds'] },
  // Deterministic: nothing of Node's may get into the bundle.
  workflows: { imports: ['domain', 'contracts'], packages: /^@temporalio\/(?:workflow|common)$/ },
  // What an operator can ask and do. No words for a terminal, no HTTP: the command and the API bring their own.
  operations: { imports: ['domain', 'config', 'settings', 'contracts'], packages: /^(?!commander$)/ },
  // Shows what the operations tell, and has them do what buttons say.
  page: { imports: ['domain', 'settings', 'contracts', 'operations', 'http'], packages: /^(?!@temporalio\/)/ },
  api: { imports: ['domain', 'config', 'settings', 'contracts', 'operations', 'http', 'page', 'sources', 'telemetry'] },
  // Words and tables over the operations: it never talks to Temporal itself.
  cli: { imports: ['domain', 'config', 'settings', 'contracts', 'operations'], packages: /^(?!@temporalio\/)/ },
  // The operations once more, behind the API of a Landfall elsewhere. Quick to load: neither Temporal nor what reads a configuration.
  remote: { imports: [...world, 'contracts', 'operations', 'api/operators/v1/answers.ts'], packages: /^(?!@temporalio\/)/ },
  // Which kinds of each room the product has; nothing but worker.ts and command.ts imports it.
  'product.ts': { imports: ['config', 'sources', 'checks', 'deploys', 'forges', 'notifiers', 'builds'] },
  // Where everything is put together; nothing but worker.ts and command.ts imports it.
  process: {
    imports: [
      ...world,
      'contracts',
      'config',
      'settings',
      'http',
      'sources',
      'checks',
      'deploys',
      'forges',
      'notifiers',
      'builds',
      'probes',
      'telemetry',
      'activities',
      'operations',
      'page',
      'api',
      'workflows',
    ],
  },
});

/** The composition roots hand the environment in; tools.mjs is what set-up begins with, before there is anything to hand it in. */
const environmentReaders = ['src/config/', 'src/settings/', 'src/platform/tools.mjs', 'worker.ts'];

/**
 * @param {string} text a source file
 * @returns {Import[]}
 */
export function importsOf(text) {
  const statement = /^\s*(?:import|export)\s+(type\s+)?[^'";]*?\bfrom\s+['"]([^'"]+)['"]/gm;
  const sideEffect = /^\s*import\s+()['"]([^'"]+)['"]/gm;
  const dynamic = /\bimport\(\s*()['"]([^'"]+)['"]/gm;
  return [statement, sideEffect, dynamic].flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => ({
      specifier: match[2] ?? '',
      typeOnly: Boolean(match[1]),
      line: lineOf(text, match.index + match[0].lastIndexOf(match[2] ?? '')),
    })),
  );
}

/**
 * @param {string} file path in the checkout, as `src/api/app.ts`
 * @param {string} text
 * @returns {Problem[]}
 */
export function problemsOf(file, text) {
  const layer = file.split('/')[1] ?? '';
  const rule = file.startsWith('src/') ? rules[layer] : undefined;
  const found = importsOf(text).flatMap((imported) => {
    const message = importProblem(file, layer, rule, imported);
    return message === undefined ? [] : [{ file, line: imported.line, message }];
  });
  return [...found, ...environmentProblems(file, text)];
}

/**
 * @param {string} file
 * @param {string} layer
 * @param {Rule | undefined} rule
 * @param {Import} imported
 * @returns {string | undefined}
 */
function importProblem(file, layer, rule, { specifier, typeOnly }) {
  if (!specifier.startsWith('.')) {
    if (typeOnly || rule?.packages === undefined || rule.packages.test(specifier)) return undefined;
    return `src/${layer} may not import '${specifier}' at run time`;
  }
  const target = join(dirname(file), specifier);
  if (target === 'worker.ts' || target === 'command.ts')
    return `nothing may import ${target}: it is where everything is put together`;
  if (!file.startsWith('src/')) return undefined;
  if (rule === undefined) return `src/${layer} has no rule in scripts/check-imports.mjs: add what it may import`;
  if (!target.startsWith('src/')) return `src may not import '${target}', which is outside of it`;
  const within = target.slice('src/'.length);
  const allowed = [layer, ...rule.imports];
  if (allowed.some((place) => within === place || within.startsWith(`${place}/`))) return undefined;
  return `src/${layer} may import ${rule.imports.join(', ') || 'nothing of ours'}; found '${specifier}'`;
}

/**
 * @param {string} file
 * @param {string} text
 * @returns {Problem[]}
 */
function environmentProblems(file, text) {
  if (!file.startsWith('src/') || environmentReaders.some((place) => file.startsWith(place))) return [];
  return text.split('\n').flatMap((code, index) => {
    if (/^\s*(?:\*|\/[/*])/.test(code) || !/\bprocess\.env\b/.test(code)) return [];
    return [{ file, line: index + 1, message: 'only src/config reads process.env: take what is needed as an argument' }];
  });
}

/**
 * Rooms are the folders of src. Circles between files are oxlint's to find.
 *
 * @param {ReadonlyMap<string, string>} sources texts by file
 * @returns {Problem[]} one for each circle, at an import that closes it
 */
export function roomCircles(sources) {
  /** @type {Map<string, Map<string, Problem>>} */
  const doors = new Map();
  for (const [file, text] of sources) {
    for (const { specifier, line } of importsOf(text)) {
      const [room, target] = [roomOf(file), roomOf(join(dirname(file), specifier))];
      if (!specifier.startsWith('.') || room === undefined || target === undefined || room === target) continue;
      const imported = doors.get(room) ?? new Map();
      if (!imported.has(target)) imported.set(target, { file, line, message: `'${specifier}'` });
      doors.set(room, imported);
    }
  }
  /** @type {Problem[]} */
  const problems = [];
  const done = new Set();
  /** @param {string} room @param {readonly string[]} path */
  const walk = (room, path) => {
    for (const [target, door] of doors.get(room) ?? []) {
      const begin = path.indexOf(target);
      const circle = [...path.slice(begin), target].join(' -> ');
      if (begin >= 0) problems.push({ ...door, message: `${door.message} closes a circle between rooms: ${circle}` });
      else if (!done.has(target)) walk(target, [...path, target]);
    }
    done.add(room);
  };
  for (const room of doors.keys()) if (!done.has(room)) walk(room, [room]);
  return problems;
}

/** @param {string} file */
function roomOf(file) {
  return /^src\/([^/]+)\//.exec(file)?.[1];
}

/**
 * @param {string} text
 * @param {number} offset
 */
function lineOf(text, offset) {
  return text.slice(0, offset).split('\n').length;
}

/**
 * @param {string} root the checkout
 * @returns {Problem[]}
 */
export function checkTree(root) {
  const sources = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.m?[jt]s$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
  const texts = new Map(sources.sort().map((file) => [file, readFileSync(join(root, file), 'utf8')]));
  return [...[...texts].flatMap(([file, text]) => problemsOf(file, text)), ...roomCircles(texts)];
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = checkTree(fileURLToPath(new URL('..', import.meta.url)));
  for (const { file, line, message } of problems) console.error(`${file}:${line}: ${message}`);
  console.log(problems.length === 0 ? 'Imports follow the rules.' : `${problems.length} imports or reads against the rules.`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
