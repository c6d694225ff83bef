#!/usr/bin/env node
/**
 * Brings a bare clone to where it can run: `node scripts/setup.mjs [check|start|run|demo|test|cluster-test|cluster-demo]` (default `test`). Needs Node and npm only,
 * is done in under 2 s where nothing is missing, and may be run by several processes at once.
 */
import { fileURLToPath, pathToFileURL } from 'node:url';
import { requireNode } from '../bin/node-version.mjs';
import { cacheFolder } from '../src/platform/tools.mjs';
import { packagesOf } from './setup/choices.mjs';
import { useStartedEngine } from './setup/docker-engine.mjs';
import { withLock } from './setup/lock.mjs';
import { SetUpFailure, say } from './setup/machine.mjs';
import { installNodeModules, nodeModulesCurrent } from './setup/node-modules.mjs';
import { obtain } from './setup/obtain.mjs';
import { installPackages } from './setup/packages.mjs';
import { choose, isPresent, toolsFor } from './setup/tools.mjs';

/**
 * @typedef {import('./setup/tools.mjs').Purpose} Purpose
 * @typedef {import('./setup/tools.mjs').SetUpTool} SetUpTool
 * @typedef {{ tool: SetUpTool, advice: string }} Missing
 * @typedef {{ env: Record<string, string | undefined>, say: (line: string) => void, root: string }} Context
 */

export { say };

/** The checkout. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * @param {Purpose} purpose
 * @param {Partial<Context>} [context]
 * @returns {Promise<Missing[]>} what could not be had, with what to do about it; empty where all is well
 * @throws {SetUpFailure} where the npm packages cannot be installed, or the environment names a tool that is none
 */
export async function setUp(purpose, context = {}) {
  const full = { env: process.env, say, root, ...context };
  if (!isComplete(purpose, full)) {
    await withLock(cacheFolder(full.env), full.say, () => complete(purpose, full));
  }
  useStartedEngine(full.env);
  const missing = toolsFor[purpose].filter((tool) => !isPresent(tool, full.env));
  return Promise.all(missing.map(async (tool) => ({ tool, advice: (await choose(tool, purpose, full.env)).advice })));
}

/**
 * The same for a command: where set-up cannot go on, it says why and ends the process with 1.
 * @param {Purpose} purpose
 * @returns {Promise<Missing[]>}
 */
export async function setUpOrExit(purpose) {
  requireNode();
  try {
    return await setUp(purpose);
  } catch (error) {
    if (!(error instanceof SetUpFailure)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/**
 * For a command that has something to put away: what set-up could not do is said, and is exit code 1.
 * @param {() => Promise<number>} command
 * @returns {Promise<number>} the exit code
 */
export async function orReport(command) {
  try {
    return await command();
  } catch (error) {
    if (!(error instanceof SetUpFailure)) throw error;
    console.error(error.message);
    return 1;
  }
}

/**
 * @param {Purpose} purpose
 * @param {Context} context
 */
function isComplete(purpose, { env, root }) {
  return nodeModulesCurrent(root) && toolsFor[purpose].every((tool) => isPresent(tool, env));
}

/**
 * @param {Purpose} purpose
 * @param {Context} context
 */
async function complete(purpose, context) {
  if (!nodeModulesCurrent(context.root)) await installNodeModules(context.root, context);
  // Whoever starts the service is told what is missing, but nothing is fetched for them.
  if (purpose === 'start') return;
  await completePackages(purpose, context);
  for (const tool of toolsFor[purpose]) await completeTool(tool, purpose, context);
}

/**
 * What Debian has of all that is missing.
 * @param {Purpose} purpose
 * @param {Context} context
 */
async function completePackages(purpose, context) {
  const missing = toolsFor[purpose].filter((tool) => !isPresent(tool, context.env));
  const wanted = packagesOf(await Promise.all(missing.map((tool) => choose(tool, purpose, context.env))));
  if (wanted.packages.length > 0) await orSay(() => installPackages(wanted, context), context);
}

/**
 * The next way may do; where none does, the advice follows what is said here.
 * @param {() => Promise<void>} act
 * @param {Context} context
 */
async function orSay(act, { say }) {
  try {
    await act();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Tries one way after the other until the tool is there; the packages of Debian are there by now.
 * @param {SetUpTool} tool
 * @param {Purpose} purpose
 * @param {Context} context
 */
async function completeTool(tool, purpose, context) {
  if (isPresent(tool, context.env)) return;
  const { ways } = await choose(tool, purpose, context.env);
  for (const way of ways.filter(({ how }) => how !== 'apt')) {
    if (isPresent(tool, context.env)) return;
    await orSay(() => obtain(tool, way, context), context);
  }
}

/**
 * @param {readonly Missing[]} missing
 * @returns {string}
 */
export function missingText(missing) {
  return missing.map(({ tool, advice }) => `  ${tool} is missing: ${advice}`).join('\n');
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const purpose = process.argv[2] ?? 'test';
  if (!(purpose in toolsFor)) throw new Error(`expected one of ${Object.keys(toolsFor).join(', ')}, found '${purpose}'`);
  const missing = await setUpOrExit(/** @type {Purpose} */ (purpose));
  if (missing.length > 0) console.error(missingText(missing));
  process.exitCode = missing.length > 0 ? 1 : 0;
}
