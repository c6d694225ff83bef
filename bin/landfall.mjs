#!/usr/bin/env node
// Runs the built command where there is one, and the sources (by tsx) in a clone that was never built.
import { existsSync } from 'node:fs';

const built = new URL('../dist/src/cli/main.js', import.meta.url);
if (!existsSync(built)) (await import('tsx/esm/api')).register();
/** @param {string} name */
const module = (name) =>
  existsSync(built)
    ? new URL(`../dist/src/${name}.js`, import.meta.url).href
    : new URL(`../src/${name}.ts`, import.meta.url).href;
const { allowClosedPipes, processSurroundings, run } = await import(module('cli/main'));
const { product } = await import(module('product'));

allowClosedPipes(process.stdout, process.stderr);
// Not process.exit(): what was printed into a pipe must arrive whole.
process.exitCode = await run(process.argv.slice(2), processSurroundings(product));
