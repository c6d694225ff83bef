import { join, resolve } from 'node:path';
import { z } from 'zod';
import { filesOf } from '../../domain/plan.ts';
import { command, composeService, duration, text } from '../../settings/scalars.ts';
import { map, optional } from '../../settings/wording.ts';
import { defineDeploy } from '../deploy.ts';
import type { ComposeDeployPlan } from './context.ts';

const filledIn = '{service} and {stage} are filled in';
const projectName = text(
  'a project name of small letters, digits, - and _',
  /^(?:[a-z0-9]|\{service\}|\{stage\})(?:[a-z0-9_-]|\{service\}|\{stage\})*$/,
);

const schema = map(
  {
    directory: optional(
      text('an absolute path on the host', /^\//),
      `The folder on the host, a checkout of the deployment repository where there is one; ${filledIn}.`,
    ),
    file: optional(text('a compose file'), `One compose file, relative to directory; ${filledIn}.`),
    files: optional(
      z.array(text('a compose file')).min(1),
      `Compose files, relative to directory; ${filledIn}. Default: what docker compose finds.`,
    ),
    project: optional(projectName, `Default: as docker compose names it; ${filledIn}.`),
    services: optional(
      z.array(composeService).min(1),
      `What is recreated; ${filledIn}. Default: change.services, else the service that the change finds.`,
    ),
    before: optional(z.array(command), 'Commands run in directory before, such as migrations; a failure stops it.'),
    after: optional(z.array(command), 'Commands run in directory afterwards; a failure counts.'),
    timeout: optional(duration, 'Longest time of each command and of docker compose up. Default: 5m.'),
    others: optional(
      z.enum(['ask', 'apply', 'refuse']),
      'What becomes of changes that come along besides the image, such as another command or port: ask waits for a decision, ' +
        'apply makes and names them, refuse blocks until the repository is mended. Default: ask.',
    ),
  },
  'docker compose up of the services, in a folder of the host.',
);

/** `docker compose up` of some services, in a directory of the host. */
export const composeDeploy = defineDeploy({
  kind: 'compose',
  foresees: true,
  schema,
  alternatives: { '': [['file', 'files']] },
  resolve(input, { change }, complain) {
    const { directory = '', file, files, project, services, before = [], after = [], others = 'ask' } = input;
    if (directory === '') complain(['directory'], 'expected an absolute path on the host, found nothing');
    if (file !== undefined && files !== undefined) complain([], 'expected only one of file and files, found both');
    const named = change && filesOf(change).flatMap(({ target }) => (target.kind === 'compose' ? target.services : []));
    const changed = named === undefined || named.length === 0 ? ['{service}'] : [...new Set(named)];
    const timeoutMs = input.timeout ?? 5 * 60_000;
    const settings: ComposeDeployPlan = {
      directory,
      files: files ?? (file === undefined ? [] : [file]),
      ...(project !== undefined && { project }),
      services: services ?? changed,
      before,
      after,
      timeoutMs,
      others,
    };
    // Each command before and after, the start itself, and a wait for a lock that a cut-off try of it holds.
    return { settings, timeoutMs: (2 + before.length + after.length) * timeoutMs };
  },
  fill: (deploy, fill) => ({
    ...deploy,
    directory: fill(deploy.directory),
    files: deploy.files.map(fill),
    ...(deploy.project !== undefined && { project: fill(deploy.project) }),
    services: deploy.services.map(fill),
  }),
  containerOf: ({ project, directory }, service) =>
    project === undefined ? { service, directory: resolve(directory) } : { service, project },
  starter: {
    files: ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'],
    read: async (text, file) => (await import('./starter.ts')).servicesIn(text, file),
  },
  async create({ data, docker, credentials, env, hostReach, locks }) {
    const { createComposeDeployer } = await import('./deployer.ts');
    return createComposeDeployer({
      docker,
      env,
      credentials,
      locks,
      folder: join(data, 'compose'),
      isOnHost: hostReach === 'loopback' && !/^(?:tcp|ssh|https?):/.test(env.DOCKER_HOST ?? ''),
    });
  },
});
