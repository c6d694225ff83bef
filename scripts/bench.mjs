#!/usr/bin/env node
/** `npm run bench [-- --rounds N --layout python|node --only PART --check --quick --json FILE]`: sets up what is missing, and measures. */
import { parseArgs } from 'node:util';
import { leaveStartedEngine } from './setup/docker-engine.mjs';
import { missingText, root, setUpOrExit } from './setup.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    only: { type: 'string' },
    layout: { type: 'string', default: 'python' },
    check: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const { quick, check, json } = values;
const rounds = Number(values.rounds ?? (quick ? 2 : 5));
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds: expected a whole number from 1 on, found '${values.rounds}'`);

const missing = await setUpOrExit('demo');
if (missing.length > 0) {
  console.error(`The benchmark needs more than is here:\n${missingText(missing)}`);
  process.exitCode = 1;
} else {
  const { benchParts, quickParts, runBench } = await import('./bench.ts');
  const { layouts } = await import('./bench/image.ts');
  const layout = layouts.find((known) => known === values.layout);
  if (layout === undefined) throw new Error(`--layout: expected ${layouts.join(' or ')}, found '${values.layout}'`);
  const wanted =
    values.only === undefined ? (quick ? quickParts : benchParts) : benchParts.filter((part) => values.only === part);
  if (wanted.length === 0) throw new Error(`--only: expected ${benchParts.join(' or ')}, found '${values.only}'`);
  try {
    process.exitCode = await runBench({ root, rounds, layout, parts: wanted, check, compare: quick, json, print: console.log });
  } finally {
    await leaveStartedEngine(process.env);
  }
}
