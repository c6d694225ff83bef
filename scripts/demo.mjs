#!/usr/bin/env node
import { leaveStartedEngine } from './setup/docker-engine.mjs';
/** `npm run demo [-- --keep]`: sets up what is missing, shows Landfall at work on real images, and cleans up. */
import { missingText, root, setUpOrExit } from './setup.mjs';

const missing = await setUpOrExit('demo');
if (missing.length > 0) {
  console.error(`The demo needs more than is here:\n${missingText(missing)}`);
  process.exitCode = 1;
} else {
  const { register } = await import('tsx/esm/api');
  register();
  const { runDemo } = await import('./demo.ts');
  try {
    process.exitCode = await runDemo({ root, env: process.env, keep: process.argv.includes('--keep'), print: console.log });
  } finally {
    await leaveStartedEngine(process.env);
  }
}
