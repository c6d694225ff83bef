/** What there is to know of test files without running them. */

import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { SetUpFailure } from '../setup/machine.mjs';
import { root } from '../setup.mjs';

/** How long each file took, in seconds, where that is more than a moment: `npm test -- --write-times` writes it anew. */
export const timesFile = 'test/times.json';

/**
 * @param {readonly string[]} args what was given on the command line
 * @returns {string[]} mocha's arguments: of a folder all its tests, and every test where neither file nor folder is named
 */
export function mochaArguments(args) {
  const given = args.map((argument) => (isTestFolder(argument) ? `${argument.replace(/\/$/, '')}/**/*.test.ts` : argument));
  const named = given.some((argument) => /\.ts$|\*/.test(argument));
  return [...given, ...(named ? [] : ['test/**/*.test.ts'])];
}

/** @param {string} argument */
function isTestFolder(argument) {
  return /^(?:\.\/)?test\b/.test(argument) && (statSync(join(root, argument), { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/**
 * What mocha makes of its arguments and of its configuration file.
 * @param {readonly string[]} args mocha's arguments
 * @returns {Promise<{ files: string[], nodeOptions: string[] }>} `files`: from the checkout's root, as `test/a.test.ts`
 * @throws {SetUpFailure} where there is no such file
 */
export async function readArguments(args) {
  // Not before set-up has installed it.
  const { lookupFiles } = await import('mocha/lib/cli/lookup-files.js');
  const { loadOptions } = await import('mocha/lib/cli/options.cjs');
  const { _: patterns, 'node-option': nodeOptions = [] } = loadOptions([...args]);
  const find = (/** @type {string} */ pattern) => {
    try {
      return lookupFiles(pattern, ['ts']);
    } catch (error) {
      throw new SetUpFailure(error instanceof Error ? error.message : String(error), { cause: error });
    }
  };
  const files = patterns.flatMap(find).map((file) => relative(root, resolve(root, file)));
  return { files: [...new Set(files)].sort(), nodeOptions: nodeOptions.map((option) => `--${option}`) };
}

/**
 * @param {string} file
 * @returns {import('./lanes.mjs').Work['apart']} what its first comment says, and why: `Runs alone:`, as it measures time or needs all of the
 *   machine, or `Runs on a core of its own:`, as it measures the time of the processor
 */
export function runsApart(file) {
  const text = readFileSync(join(root, file), 'utf8');
  const [, apart] = /^(?:\/\/|\/?\s?\*+)\s*Runs (alone|on a core of its own): \S/m.exec(text) ?? [];
  return apart === 'alone' || apart === 'on a core of its own' ? apart : undefined;
}

/**
 * @param {string} file
 * @returns {boolean} whether its first comment says `Needs the network:`, and why: the namespace of the current engine has none
 */
export function needsNetwork(file) {
  return /^(?:\/\/|\/?\s?\*+)\s*Needs the network: \S/m.test(readFileSync(join(root, file), 'utf8'));
}

/**
 * The tests that Debian's Docker and Compose have to pass as well: what deploys, tests and watches containers, and the demo.
 * @param {string} file
 */
export function needsBothEngines(file) {
  const isNamed =
    /^test\/(?:platform\/docker\/|deploys\/(?:compose|docker)\/|checks\/smoke\/|activities\/(?:watch|deploy)|scripts\/demo\.)/.test(
      file,
    );
  // What runs in a cluster has no Docker.
  return isNamed && usesDocker(file) && !withImports(file).has(clusterSupport);
}

/** Programs, Docker and Temporal: what a test has to start something for, or needs to be there. */
const servers = /from '(?:node:child_process|dockerode|@temporalio\/(?:client|testing|worker))'|\bensureDocker\(/;

const docker = /(?:from|import) '[^']*(?:docker|compose|demo)[^']*'/;

/**
 * Whether a test starts nothing but what is in its own process: neither it nor anything of test/ and scripts/ that it imports does.
 * @param {string} file
 */
export function isUnit(file) {
  return ![...withImports(file)].some((each) => servers.test(withoutTypes(each)));
}

/**
 * Whether a test uses the Docker engine: it, or something that it imports of test/ and scripts/, imports what speaks to Docker or Compose.
 * @param {string} file
 */
export function usesDocker(file) {
  return !isUnit(file) && [...withImports(file)].some((each) => docker.test(withoutTypes(each)));
}

/**
 * Whether an argument of mocha's is, or stands for, a test that starts what is built for such tests alone.
 * @param {string} argument
 * @param {'cluster' | 'buildkit'} what a Kubernetes node, or a BuildKit
 */
export function namesUsers(argument, what) {
  if (!/\.ts$|\*/.test(argument)) return false;
  return globSync(argument, { cwd: root }).some((file) => withImports(file).has(`test/support/${what}.ts`));
}

const clusterSupport = 'test/support/cluster.ts';

/** @param {string} file */
function withoutTypes(file) {
  return readFileSync(join(root, file), 'utf8').replace(/^import type .*$/gm, '');
}

/**
 * @param {string} file
 * @param {Set<string>} [seen]
 * @returns {Set<string>} it, and what it imports of test/ and scripts/, however far
 */
function withImports(file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, from = ''] of withoutTypes(file).matchAll(/(?:from|import) '(\.{1,2}\/[^']+)'/g)) {
    const imported = join(dirname(file), from);
    if (/^(?:test|scripts)\//.test(imported) && existsSync(join(root, imported))) withImports(imported, seen);
  }
  return seen;
}

/** @returns {Record<string, number>} */
export function knownTimes() {
  const file = join(root, timesFile);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}
