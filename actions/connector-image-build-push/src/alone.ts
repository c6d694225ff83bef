import { join } from 'node:path';
import { endGroup, info, notice, setOutput, startGroup } from '@actions/core';
import { readConnector } from '../../../src/builds/projects/airbyte-connector/connector.ts';
import { planPush, planTag } from '../../../src/domain/build.ts';
import { mustDocker } from './docker.ts';
import { buildHere, pushAll, testSpec } from './image.ts';
import type { Inputs } from './inputs.ts';
import { tell } from './outputs.ts';
import { imageExists } from './registry.ts';
import { scan } from './scan.ts';

/** In this job, with the runner's Docker. */
export async function buildAlone(inputs: Inputs, root: string, commit: string): Promise<void> {
  const { connector: name, repository, options } = inputs;
  const folder = join('airbyte-integrations', 'connectors', name);
  const project = await readConnector(root, folder);
  const { type = '', baseImage = '', version } = project.facts;
  const planned = planTag({ tag: '{version}', latest: 'never' }, options, { version, commit, branch: '' });
  if ('lacks' in planned) throw new Error(`expected a connector that has a ${planned.lacks}`);
  const { tag, movesLatest } = planned;
  const tags = [tag, ...(movesLatest ? ['latest'] : [])];
  const image = `${repository}:${tag}`;
  tell({ ...{ name, type, folder, baseImage, tag, image }, tags: tags.map((each) => `${repository}:${each}`) });

  const exists = await imageExists(inputs, tag, info);
  const { builds, pushes, why } = planPush(exists, options);
  setOutput('image-exists', String(exists));
  info(`${image}: ${why}`);
  const source = { root, name, project };
  if (builds) {
    const local = await group('Build for this machine', () => buildHere(source));
    await group("Test: 'spec'", () => testSpec(local));
    await group('Scan', () => scan(local));
    setOutput('build-executed', 'true');
  }
  if (!pushes) return;
  await logIn(inputs);
  const digest = await group('Build for amd64 and arm64, and push', () => pushAll(source, repository, tags));
  // What happened, and not what was meant to.
  setOutput('push-executed', 'true');
  setOutput('digest', digest);
  notice(`pushed ${image}@${digest}`);
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
