#!/usr/bin/env node
/**
 * `npm start`: the service, from `dist` where it is built, else from the sources. It installs nothing on the machine: what is missing is
 * said, with how to get it. Supervisors run this file itself (`node scripts/start.mjs`), from whatever folder has the landfall.yaml.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { requireNode } from './setup/node.mjs';
import { missingText, root, setUpOrExit } from './setup.mjs';

requireNode();

const built = join(root, 'dist', 'worker.js');
const source = join(root, 'worker.ts');
const worker = existsSync(built) ? built : source;

if (worker === source) {
  const missing = await setUpOrExit('start');
  if (missing.length > 0) console.error(`Not everything that Landfall uses is here:\n${missingText(missing)}`);
}
// In this very process, so that signals reach the service and nothing stands between.
process.argv[1] = worker;
await import(pathToFileURL(worker).href);
