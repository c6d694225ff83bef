#!/usr/bin/env node
/**
 * `npm test [-- [--engine NAME] [--lanes N] [--unit] FILES AND MOCHA OPTIONS]`: sets up what is missing, runs the tests, and stops the Docker
 * engine if set-up started it. Which engines there are is said in setup/engine-choice.mjs. With `--lanes 1` all of it is one process of
 * mocha; `--unit` takes of the files those that start nothing. `--write-times` keeps how long each file took, for the order of later runs.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildService } from './setup/build.mjs';
import { obtainBuildkit } from './setup/buildkit.mjs';
import { leaveStartedEngine } from './setup/docker-engine.mjs';
import { choices, takeEngine } from './setup/engine-choice.mjs';
import { withCurrentEngine } from './setup/engine-run.mjs';
import { isRoot, SetUpFailure, sparingGo } from './setup/machine.mjs';
import { missingText, orReport, root, say, setUpOrExit } from './setup.mjs';
import {
  isUnit,
  knownTimes,
  mochaArguments,
  namesUsers,
  needsBothEngines,
  needsNetwork,
  readArguments,
  runsApart,
  timesFile,
  usesDocker,
} from './test/files.mjs';
import { runLanes } from './test/lanes.mjs';
import { machinePace } from './test/pace.mjs';
import { quickFork, spareWork } from './test/savings.mjs';

/**
 * @typedef {import('./test/lanes.mjs').Ground} Ground
 * @typedef {import('./test/lanes.mjs').Work} Work
 * @typedef {import('./test/lanes.mjs').Done} Done
 * @typedef {Awaited<ReturnType<typeof takeOptions>>} Options
 */

/** So many files at once, whatever the machine has to do: more wait for each other's containers, and those that measure fail. */
const lanesOfTwoCores = 4;
/** And so many more while it has room: the slowest files, which come first, mostly wait. */
const lanesWhereIdle = 3;

/** In CI a whole run fails when it takes longer than this on a machine of the usual pace: a slow test is a fault of its own. */
const longestMinutes = 40;

/** Of the lanes, those on the engine that answers, where both are there: that is how much of the whole run needs it. */
const shareOfOlderEngine = 1 / 3;

/**
 * What is said to this script, and not to mocha.
 * @param {readonly string[]} args
 */
export async function takeOptions(args) {
  const { engine, rest } = takeEngine(args);
  const at = rest.indexOf('--lanes');
  const pairs = Math.ceil(availableParallelism() / 2);
  const asked = at < 0 ? undefined : Number(rest.splice(at, 2)[1]);
  const lanes = asked ?? (lanesOfTwoCores + lanesWhereIdle) * pairs;
  if (!(lanes >= 1)) throw new SetUpFailure('--lanes expects a number of at least 1');
  const own = ['--unit', '--write-times'];
  const mocha = mochaArguments(rest.filter((argument) => !own.includes(argument)));
  const { files, nodeOptions } = await readArguments(mocha);
  return {
    engine,
    lanes,
    always: asked ?? lanesOfTwoCores * pairs,
    mocha,
    nodeOptions,
    files: rest.includes('--unit') ? files.filter(isUnit) : files,
    isUnit: rest.includes('--unit'),
    isWhole: mocha.includes('test/**/*.test.ts') && !rest.includes('--unit'),
    writesTimes: rest.includes('--write-times'),
  };
}

const usage = `npm test                        everything, on two Docker engines where that is possible
npm test -- FILE OR FOLDER ...  these alone
${choices}
  --lanes N        so many files at once; with 1 all of them in one process of mocha
  --unit           of them, those that start nothing (npm run test:unit)
  --write-times    keep how long each file took, for the order of later runs
  --grep TEXT      and mocha's other options`;

/**
 * @param {readonly string[]} args
 * @returns {Promise<number>} the exit code
 */
async function run(args) {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    return 0;
  }
  takeEngine(args);
  const missing = await setUpOrExit(purposeOf(args));
  if (missing.length > 0) {
    console.error(`Not everything that the tests need is here:\n${missingText(missing)}`);
    if (process.env.CI === 'true') return 1;
    console.error('Running what can run; the tests that need it will fail.');
  }
  if (needsBuildkit(args)) await obtainBuildkit({ env: process.env, say });
  const removeTemporary = spareWork(process.env);
  try {
    return await runTests(await takeOptions(args));
  } finally {
    removeTemporary();
  }
}

/**
 * Before set-up there is no mocha to say which files are meant; Kubernetes is built for those alone that use it.
 * @param {readonly string[]} args
 */
export function purposeOf(args) {
  if (args.includes('--unit')) return 'check';
  return canRunApart() && namedIn(args).some((each) => namesUsers(each, 'cluster')) ? 'cluster-test' : 'test';
}

/**
 * Whether a BuildKit is needed, which is built for the tests that start one.
 * @param {readonly string[]} args
 */
export function needsBuildkit(args) {
  return !args.includes('--unit') && canRunApart() && namedIn(args).some((each) => namesUsers(each, 'buildkit'));
}

/** @param {readonly string[]} args */
const namedIn = (args) => mochaArguments(takeEngine(args).rest);

/**
 * @param {Options} options
 * @returns {Promise<number>} the exit code
 */
async function runTests(options) {
  if (!options.isUnit) await buildService(root, { env: process.env, say });
  const isCurrent = options.engine === '29' || (options.isWhole && options.engine === undefined && canRunCurrentEngine());
  if (!isCurrent) return runOn({ here: process.env }, options);
  return withCurrentEngine({ env: process.env, say }, (current) => runOn({ current, here: process.env }, options));
}

/** Namespaces need Linux, and root. */
export function canRunApart() {
  return process.platform === 'linux' && isRoot();
}

function canRunCurrentEngine() {
  if (canRunApart()) return true;
  say('the tests run on the Docker engine that answers: Docker 29 beside it needs Linux and root');
  return false;
}

/**
 * @param {{ current?: { enter: readonly string[], env: Ground['env'] }, here: Ground['env'] }} engines
 * @param {Options} options
 * @returns {Promise<number>} the exit code
 */
async function runOn({ current, here }, options) {
  const quick = await quickFork({ env: process.env, say });
  const inside = current && {
    name: 'Docker 29',
    enter: [...current.enter, 'env', `--chdir=${root}`, ...quick],
    env: { ...sparingGo, ...current.env },
  };
  const outside = { name: 'the engine that answers', enter: quick, env: { ...sparingGo, ...here } };
  if (options.lanes === 1 || options.files.length === 1) return runMocha(inside ?? outside, options);
  if (inside === undefined) return runInLanes([{ ...outside, lanes: options.lanes }], options);
  if (!options.isWhole) return runInLanes([{ ...inside, lanes: options.lanes }], options);
  const lanes = Math.max(1, Math.round(options.lanes * shareOfOlderEngine));
  const grounds = [
    { ...inside, lanes: options.lanes - lanes },
    { ...outside, lanes },
  ];
  return runInLanes(grounds, options);
}

/**
 * @param {Omit<Ground, 'lanes'>} ground
 * @param {Options} options
 * @returns {Promise<number>} the exit code
 */
async function runMocha({ enter, env }, options) {
  const [command = '', ...args] = [...enter, process.execPath, join(root, 'node_modules/mocha/bin/mocha.js'), ...options.mocha];
  const mocha = spawn(command, args, { cwd: root, env, stdio: 'inherit' });
  const passOn = (/** @type {NodeJS.Signals} */ signal) => mocha.kill(signal);
  process.on('SIGTERM', passOn);
  // A terminal sends SIGINT to mocha as well; we only stay to clean up.
  process.on('SIGINT', () => undefined);
  const [code] = await once(mocha, 'exit');
  return code ?? 1;
}

/**
 * @param {readonly Ground[]} grounds
 * @param {Options} options
 * @returns {Promise<number>} the exit code
 */
async function runInLanes(grounds, { files, always, nodeOptions, mocha, isWhole, writesTimes }) {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop.abort());
  const colour = process.stdout.isTTY && !process.env.NO_COLOR ? ['--color'] : [];
  const context = { cwd: root, nodeOptions, mochaOptions: [...mocha, ...colour], stop: stop.signal, told: tell, always };
  const works = worksOf(files, grounds);
  const isLimited = isWhole && process.env.CI === 'true';
  const before = isLimited ? await machinePace() : 1;
  const begunAt = performance.now();
  const done = await runLanes(works, grounds, context);
  if (writesTimes && isWhole) writeTimes(done);
  const minutes = (performance.now() - begunAt) / 60_000;
  if (!isLimited) return report(done, works, undefined);
  const pace = (before + (await machinePace())) / 2;
  say(`the tests took ${minutes.toFixed(1)} min; ${paceText(pace)}`);
  return report(done, works, slowness(minutes, pace));
}

/**
 * @param {number} minutes that a whole run has taken
 * @param {number} pace how many times as long as usual the machine takes for its work
 * @returns {string | undefined} what is wrong with that
 */
export function slowness(minutes, pace) {
  const longest = longestMinutes * Math.max(1, pace);
  if (minutes <= longest) return undefined;
  return `  the tests took ${minutes.toFixed(1)} min, expected at most ${longest.toFixed(1)} (${paceText(pace)}): see the slowest files above`;
}

/** @param {number} pace */
const paceText = (pace) => `the machine takes ${pace.toFixed(1)} times as long as usual`;

/**
 * Every file once, on the current engine where there are both and it uses one; some also on the other.
 * @param {readonly string[]} files
 * @param {readonly Ground[]} grounds the current engine is the first
 * @returns {Work[]}
 */
export function worksOf(files, grounds) {
  const times = knownTimes();
  const [first, second] = grounds.map(({ name }) => name);
  return files.flatMap((file) => {
    const work = { file, label: file, seconds: times[file] ?? 1, apart: runsApart(file) };
    if (second !== undefined && needsNetwork(file)) return [{ ...work, grounds: [second] }];
    if (first === undefined || second === undefined || !usesDocker(file))
      return [{ ...work, grounds: grounds.map(({ name }) => name) }];
    const label = `${file} (${second})`;
    const again = needsBothEngines(file) ? [{ ...work, label, seconds: times[label] ?? work.seconds, grounds: [second] }] : [];
    return [{ ...work, grounds: [first] }, ...again];
  });
}

/** @param {Done} done */
function tell({ work, seconds, output, failed }) {
  console.log(
    `\n${work.label}: ${failed > 0 ? `${failed} failed, ` : ''}${seconds.toFixed(1)} s\n${output.replace(/^\n+|\s+$/g, '')}`,
  );
}

/**
 * @param {readonly Done[]} done
 * @param {readonly Work[]} works
 * @param {string | undefined} slow counts as one failure more
 * @returns {Promise<number>} the exit code
 */
async function report(done, works, slow) {
  const { default: reporter } = await import('../test/support/reporter.cjs');
  const sum = (/** @type {'passed' | 'failed' | 'skipped'} */ what) => done.reduce((total, each) => total + each[what], 0);
  const labelOf = (/** @type {Done} */ { work, processorSeconds }) =>
    `${work.label}, ${processorSeconds.toFixed(1)} s of processor time`;
  const seconds = new Map(done.map((each) => [labelOf(each), each.seconds]));
  const left = works.length - done.length;
  const failures = done.flatMap((each) => (each.failures === '' ? [] : [`${each.work.label}\n${each.failures}`]));
  if (left > 0) failures.push(`  stopped: ${left} of ${works.length} files were not run`);
  if (slow !== undefined) failures.push(slow);
  const more = (left > 0 ? 1 : 0) + (slow === undefined ? 0 : 1);
  const result = { passed: sum('passed'), failed: sum('failed') + more, skipped: sum('skipped'), seconds };
  console.log(`\n${reporter.reportText(result, failures.join('\n'))}`);
  return Math.min(result.failed + reporter.refusedSkips(result), 255);
}

/** @param {readonly Done[]} done */
function writeTimes(done) {
  const slow = done.filter(({ seconds }) => seconds >= 2);
  const entries = slow.map(({ work, seconds }) => [work.label, Math.round(seconds)]).sort();
  writeFileSync(join(root, timesFile), `${JSON.stringify(Object.fromEntries(entries), undefined, 2)}\n`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    process.exitCode = await orReport(() => run(process.argv.slice(2)));
  } finally {
    await leaveStartedEngine(process.env);
  }
}
