#!/usr/bin/env node
/**
 * `npm start`: the service, from `dist` where it is built, else from the sources. It installs nothing on the machine: what is missing is
 * said, with how to get it. Supervisors run this file itself (`node scripts/start.mjs`), from whatever folder has the landfall.yaml.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { requireNode } from '../bin/node-version.mjs';

requireNode();

const built = new URL('../dist/service/service.mjs', import.meta.url);
const worker = existsSync(built) ? built : new URL('../worker.ts', import.meta.url);

if (worker !== built) {
  // The npm package always has a build, and none of the set-up.
  const { missingText, setUpOrExit } = await import('./setup.mjs');
  const missing = await setUpOrExit('start');
  if (missing.length > 0) console.error(`Not everything that Landfall uses is here:\n${missingText(missing)}`);
}
// In this very process, so that signals reach the service and nothing stands between.
process.argv[1] = fileURLToPath(worker);
await import(worker.href);
