/** The GitHub Action `connector-image-build-push`, bundled into dist/index.js by scripts/build-actions.mjs. */
import { endGroup, getInput, info, notice, setFailed, setOutput, setSecret, startGroup } from '@actions/core';
import { type Connector, readConnector } from './connector.ts';
import { mustDocker } from './docker.ts';
import { buildHere, pushAll, testSpec } from './image.ts';
import { type Inputs, readInputs } from './inputs.ts';
import { planBuild, planTags } from './plan.ts';
import { imageExists } from './registry.ts';
import { scan } from './scan.ts';

async function run(root: string): Promise<void> {
  const password = getInput('docker-hub-password');
  if (password !== '') setSecret(password);
  const inputs = readInputs(getInput);
  const connector = readConnector(root, inputs.connector);
  const { tag, movesLatest } = planTags(inputs, connector.version, process.env.GITHUB_SHA ?? '');
  const image = `${inputs.repository}:${tag}`;
  const tags = [tag, ...(movesLatest && tag !== 'latest' ? ['latest'] : [])];
  tell(connector, image, tag, tags.map((each) => `${inputs.repository}:${each}`).join(','));

  const exists = await imageExists(inputs, tag, info);
  const { builds, pushes, why } = planBuild(exists, inputs);
  setOutput('image-exists', String(exists));
  info(`${image}: ${why}`);
  const source = { root, connector };
  if (builds) {
    const local = await group('Build for this machine', () => buildHere(source));
    await group("Test: 'spec'", () => testSpec(local));
    await group('Scan', () => scan(local));
    setOutput('build-executed', 'true');
  }
  if (!pushes) return;
  await logIn(inputs);
  const digest = await group('Build for amd64 and arm64, and push', () => pushAll(source, inputs.repository, tags));
  // What happened, and not what was meant to.
  setOutput('push-executed', 'true');
  setOutput('digest', digest);
  notice(`pushed ${image}@${digest}`);
}

function tell({ name, type, directory, baseImage }: Connector, image: string, tag: string, tags: string): void {
  const outputs = {
    'connector-name': name,
    'connector-type': type,
    'connector-dir': directory,
    'base-image': baseImage,
    'connector-version-tag': tag,
    'connector-image-name': image,
    'docker-tags': tags,
    'build-executed': 'false',
    'push-executed': 'false',
  };
  for (const [output, value] of Object.entries(outputs)) setOutput(output, value);
}

async function logIn({ account, repository }: Inputs): Promise<void> {
  if (account === undefined) return;
  const host = repository.slice(0, repository.indexOf('/'));
  const where = host === 'docker.io' ? [] : [host];
  await mustDocker(['login', '--username', account.username, '--password-stdin', ...where], { input: account.password });
}

async function group<Result>(name: string, act: () => Promise<Result>): Promise<Result> {
  startGroup(name);
  try {
    return await act();
  } finally {
    endGroup();
  }
}

try {
  await run(process.env.GITHUB_WORKSPACE ?? process.cwd());
} catch (error) {
  setFailed(error instanceof Error ? error.message : String(error));
}
