#!/usr/bin/env node
// Runs the built command where there is one, and the sources (by tsx) in a clone that was never built.
import { existsSync } from 'node:fs';

const built = new URL('../dist/src/cli/main.js', import.meta.url);
if (!existsSync(built)) (await import('tsx/esm/api')).register();
const { allowClosedPipes, processSurroundings, run } = await import(
  existsSync(built) ? built.href : new URL('../src/cli/main.ts', import.meta.url).href
);

allowClosedPipes(process.stdout, process.stderr);
// Not process.exit(): what was printed into a pipe must arrive whole.
process.exitCode = await run(process.argv.slice(2), processSurroundings());
