#!/usr/bin/env node
// Runs the built command where there is one, else that of the clone's sources.
// A clone downloads another Node where this one is too old; the npm package and the image do not contain the scripts for that.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import nodeModule from 'node:module';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isNodeNewEnough, requireNode } from './node-version.mjs';

const built = new URL('../dist/command/command.mjs', import.meta.url);

async function run() {
  const isBuilt = existsSync(built);
  const { compiledFolder } = await import(`../${isBuilt ? 'dist/' : ''}src/platform/tools.mjs`);
  // The next call starts in half the time.
  nodeModule.enableCompileCache(compiledFolder());
  /** @type {typeof import('../command.ts')} */
  const { runCommand } = await import(isBuilt ? built.href : pathToFileURL(await commandOfThisClone()).href);
  return await runCommand(process.argv.slice(2), async (config) => {
    process.env.LANDFALL_CONFIG = config;
    await import('../scripts/start.mjs');
  });
}

async function commandOfThisClone() {
  const { commandOfClone } = await import('../scripts/setup/command.mjs');
  return await commandOfClone(fileURLToPath(new URL('..', import.meta.url)));
}

async function runOnAnotherNode() {
  if (!existsSync(new URL('../scripts/setup/node.mjs', import.meta.url))) {
    requireNode();
    return 1;
  }
  const { SetUpFailure, say } = await import('../scripts/setup/machine.mjs');
  const { obtainNode } = await import('../scripts/setup/node.mjs');
  try {
    const folder = await obtainNode({ env: process.env, say });
    const env = { ...process.env, PATH: [folder, process.env.PATH].join(delimiter) };
    const words = [fileURLToPath(import.meta.url), ...process.argv.slice(2)];
    return spawnSync(join(folder, 'node'), words, { stdio: 'inherit', env }).status ?? 1;
  } catch (error) {
    if (!(error instanceof SetUpFailure)) throw error;
    console.error(error.message);
    return 1;
  }
}

// Not process.exit(): what was printed into a pipe must arrive whole.
process.exitCode = isNodeNewEnough() ? await run() : await runOnAnotherNode();
