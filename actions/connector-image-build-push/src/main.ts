/** The GitHub Action `connector-image-build-push`, bundled into dist/index.js by scripts/build-actions.mjs. */
import { getInput, setFailed, setSecret } from '@actions/core';
import { buildAlone } from './alone.ts';
import { readInputs } from './inputs.ts';
import { buildThere } from './landfall.ts';

async function run(): Promise<void> {
  const password = getInput('docker-hub-password');
  if (password !== '') setSecret(password);
  const inputs = readInputs(getInput);
  const { GITHUB_WORKSPACE = process.cwd(), GITHUB_SHA = '' } = process.env;
  if (inputs.landfall === undefined) await buildAlone(inputs, GITHUB_WORKSPACE, GITHUB_SHA);
  else await buildThere(inputs.options, inputs.landfall, GITHUB_SHA);
}

try {
  await run();
} catch (error) {
  setFailed(error instanceof Error ? error.message : String(error));
}
