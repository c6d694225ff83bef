#!/usr/bin/env node
/**
 * `npm test [-- [--engine NAME] FILES AND MOCHA OPTIONS]`: sets up what is missing, runs the tests, and stops the Docker engine if set-up
 * started it. Which engines there are is said in setup/engine-choice.mjs.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildService } from './setup/build.mjs';
import { leaveStartedEngine } from './setup/docker-engine.mjs';
import { takeEngine } from './setup/engine-choice.mjs';
import { runOnCurrentEngine } from './setup/engine-run.mjs';
import { missingText, orReport, root, say, setUpOrExit } from './setup.mjs';

const allTests = 'test/**/*.test.ts';

/**
 * @param {readonly string[]} args what was given on the command line
 * @returns {string[]} mocha's arguments: of a folder all its tests, and every test where neither file nor folder is named
 */
export function mochaArguments(args) {
  const given = args.map((argument) => (isTestFolder(argument) ? `${argument.replace(/\/$/, '')}/**/*.test.ts` : argument));
  const named = given.some((argument) => /\.ts$|\*/.test(argument));
  return [...given, ...(named ? [] : [allTests])];
}

/** @param {string} argument */
function isTestFolder(argument) {
  return /^(?:\.\/)?test\b/.test(argument) && (statSync(join(root, argument), { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/**
 * @param {readonly string[]} args
 * @returns {Promise<number>} the exit code
 */
async function run(args) {
  const { engine, rest } = takeEngine(args);
  const missing = await setUpOrExit('test');
  if (missing.length > 0) {
    console.error(`Not everything that the tests need is here:\n${missingText(missing)}`);
    if (process.env.CI === 'true') return 1;
    console.error('Running what can run; the tests that need it will fail.');
  }
  if (engine === '29') return runOnCurrentEngine([fileURLToPath(import.meta.url), ...rest], { env: process.env, say });
  await buildService(root, { env: process.env, say });
  const mocha = spawn(process.execPath, [join(root, 'node_modules/mocha/bin/mocha.js'), ...mochaArguments(rest)], {
    cwd: root,
    stdio: 'inherit',
  });
  const passOn = (/** @type {NodeJS.Signals} */ signal) => mocha.kill(signal);
  process.on('SIGTERM', passOn);
  // A terminal sends SIGINT to mocha as well; we only stay to clean up.
  process.on('SIGINT', () => undefined);
  const [code] = await once(mocha, 'exit');
  return code ?? 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    process.exitCode = await orReport(() => run(process.argv.slice(2)));
  } finally {
    await leaveStartedEngine(process.env);
  }
}
