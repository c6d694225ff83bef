#!/usr/bin/env node
/**
 * `npm run demo [-- [--engine NAME] [--kubernetes | --build] [--keep]]`: sets up what is missing, shows Landfall at work on real images, and cleans up.
 * Which engines there are is said in setup/engine-choice.mjs.
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
  const inCluster = rest.includes('--kubernetes');
  if (inCluster && (process.platform !== 'linux' || process.getuid?.() !== 0)) {
    console.error('The demo with Kubernetes starts a node of its own, which takes Linux and root.');
    return 1;
  }
  const missing = await setUpOrExit(inCluster ? 'cluster-demo' : 'demo');
  if (missing.length > 0) {
    console.error(`The demo needs more than is here:\n${missingText(missing)}`);
    return 1;
  }
  if (engine === '29') return runOnCurrentEngine([fileURLToPath(import.meta.url), ...rest], { env: process.env, say });
  const options = { root, env: process.env, keep: rest.includes('--keep'), print: console.log };
  if (inCluster) return (await import('./demo/kubernetes.ts')).runKubernetesDemo(options);
  if (rest.includes('--build')) return (await import('./demo/build.ts')).runBuildDemo(options);
  return (await import('./demo.ts')).runDemo(options);
}

try {
  process.exitCode = await orReport(() => run(process.argv.slice(2)));
} finally {
  await leaveStartedEngine(process.env);
}
