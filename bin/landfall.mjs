#!/usr/bin/env node
// Runs the built command where there is one, and the sources in a clone that was never built.
// A clone downloads another Node where this one is too old; the npm package and the image do not contain the scripts for that.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import nodeModule from 'node:module';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isNodeNewEnough, requireNode } from './node-version.mjs';

async function run() {
  const isBuilt = existsSync(new URL('../dist/src/cli/main.js', import.meta.url));
  const module = (/** @type {string} */ name) => new URL(`../${isBuilt ? 'dist/' : ''}src/${name}`, import.meta.url).href;
  const { compiledFolder } = await import(module('platform/tools.mjs'));
  // The next call starts in half the time.
  nodeModule.enableCompileCache(compiledFolder());
  const { allowClosedPipes, processContext, run } = await import(module(isBuilt ? 'cli/main.js' : 'cli/main.ts'));
  const loadKinds = async () => (await import(module(isBuilt ? 'product.js' : 'product.ts'))).product;
  allowClosedPipes(process.stdout, process.stderr);
  return await run(process.argv.slice(2), processContext(loadKinds));
}

async function runOnAnotherNode() {
  if (!existsSync(new URL('../scripts/setup/node.mjs', import.meta.url))) return requireNode();
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
