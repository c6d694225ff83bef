#!/usr/bin/env node
/** `npm run bench [-- --rounds N --layout python|node --only start|rollout|ingress --check]`: sets up what is missing, and measures. */
import { parseArgs } from 'node:util';
import { leaveStartedEngine } from './setup/docker-engine.mjs';
import { missingText, root, setUpOrExit } from './setup.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    layout: { type: 'string', default: 'python' },
    check: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds: expected a whole number from 1 on, found '${values.rounds}'`);

const missing = await setUpOrExit('demo');
if (missing.length > 0) {
  console.error(`The benchmark needs more than is here:\n${missingText(missing)}`);
  process.exitCode = 1;
} else {
  const { benchParts, runBench } = await import('./bench.ts');
  const { layouts } = await import('./bench/image.ts');
  const layout = layouts.find((known) => known === values.layout);
  if (layout === undefined) throw new Error(`--layout: expected ${layouts.join(' or ')}, found '${values.layout}'`);
  const parts = benchParts.filter((part) => values.only === undefined || values.only === part);
  if (parts.length === 0) throw new Error(`--only: expected ${benchParts.join(' or ')}, found '${values.only}'`);
  try {
    process.exitCode = await runBench({ root, rounds, layout, parts, check: values.check, print: console.log });
  } finally {
    await leaveStartedEngine(process.env);
  }
}
