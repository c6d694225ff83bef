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
  const part = (/** @type {string} */ name) => {
    const file = isBuilt ? `dist/src/${name.replace(/\.ts$/, '.js')}` : `src/${name}`;
    return import(new URL(`../${file}`, import.meta.url).href);
  };
  const { compiledFolder } = await part('platform/tools.mjs');
  // The next call starts in half the time.
  nodeModule.enableCompileCache(compiledFolder());
  const { allowClosedPipes, processContext, run } = await part('cli/main.ts');
  const loadKinds = async () => (await part('product.ts')).product;
  /** @type {import('../src/cli/context.ts').CliContext['startLocalWork']} */
  const startLocalWork = async (configuration, env) => {
    // Before anything is started that could read it.
    (await part('platform/processes/hidden-environment.ts')).hideEnvironment(process.env);
    return (await part('process/local-work.ts')).startLocalWork(configuration, env);
  };
  allowClosedPipes(process.stdout, process.stderr);
  return await run(process.argv.slice(2), processContext({ loadKinds, startLocalWork }));
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
