#!/usr/bin/env node
/** `npm run soak [-- --minutes N --seed N]`: sets up what is missing, and looks whether anything is lost under random kills. */
import { parseArgs } from 'node:util';
import { buildService } from './setup/build.mjs';
import { leaveStartedEngine } from './setup/docker-engine.mjs';
import { missingText, root, setUpOrExit } from './setup.mjs';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '15' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) } },
});
const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
if (!(minutes > 0)) throw new Error(`--minutes: expected a number above 0, found '${values.minutes}'`);
if (!Number.isInteger(seed)) throw new Error(`--seed: expected a whole number, found '${values.seed}'`);

const missing = await setUpOrExit('test');
if (missing.length > 0) {
  console.error(`The soak test needs more than is here:\n${missingText(missing)}`);
  process.exitCode = 1;
} else {
  await buildService(root, { env: process.env, say: (line) => console.error(`set-up: ${line}`) });
  const { runSoak } = await import('./soak.ts');
  try {
    const faults = await runSoak({ root, minutes, seed, print: console.log });
    process.exitCode = faults.length === 0 ? 0 : 1;
  } finally {
    await leaveStartedEngine(process.env);
  }
}
