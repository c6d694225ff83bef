#!/usr/bin/env node
/**
 * `npm run screenshots [-- --engine NAME]`: sets up what is missing, plays a scene with real images, and writes the pictures of docs/images. They differ a little
 * each time: what they show has really happened.
 */
import { fileURLToPath } from 'node:url';
import { leaveStartedEngine } from './setup/docker-engine.mjs';
import { takeEngine } from './setup/engine-choice.mjs';
import { runOnCurrentEngine } from './setup/engine-run.mjs';
import { missingText, orReport, root, say, setUpOrExit } from './setup.mjs';

/**
 * @param {readonly string[]} args
 * @returns {Promise<number>} the exit code
 */
async function run(args) {
  const { engine, rest } = takeEngine(args);
  const missing = await setUpOrExit('test');
  if (missing.length > 0) {
    console.error(`The screenshots need more than is here:\n${missingText(missing)}`);
    return 1;
  }
  if (engine === '29') return runOnCurrentEngine([fileURLToPath(import.meta.url), ...rest], { env: process.env, say });
  return (await import('./screenshots/take.ts')).takeScreenshots(root);
}

try {
  process.exitCode = await orReport(() => run(process.argv.slice(2)));
} finally {
  await leaveStartedEngine(process.env);
}
