import { z } from 'zod';
import { command, composeService, duration, githubRepository, hostName, text } from '../settings/scalars.ts';
import { map } from '../settings/wording.ts';

/** How a stage may say that the image comes to run. All of it may come from a level above, so nothing is required here. */

const filledIn = '{service} and {stage} are filled in';
const commands = z.array(command);
const repository = githubRepository.meta({ description: 'owner/name. Default: that of the change.' }).exactOptional();
const ref = text('a branch or tag').meta({ description: 'Default: the base of the change, else main.' }).exactOptional();

const compose = map(
  {
    directory: text('an absolute path on the host', /^\//)
      .meta({ description: `The folder on the host, a checkout of the deployment repository where there is one; ${filledIn}.` })
      .exactOptional(),
    file: text('a compose file')
      .meta({ description: `One compose file, relative to directory; ${filledIn}.` })
      .exactOptional(),
    files: z
      .array(text('a compose file'))
      .min(1)
      .meta({ description: `Compose files, relative to directory; ${filledIn}. Default: what docker compose finds.` })
      .exactOptional(),
    project: text(
      'a project name of small letters, digits, - and _',
      /^(?:[a-z0-9]|\{service\}|\{stage\})(?:[a-z0-9_-]|\{service\}|\{stage\})*$/,
    )
      .meta({ description: `Default: as docker compose names it; ${filledIn}.` })
      .exactOptional(),
    services: z
      .array(composeService)
      .min(1)
      .meta({ description: `What is recreated; ${filledIn}. Default: change.services, else the service's own name.` })
      .exactOptional(),
    before: commands
      .meta({ description: 'Commands run in directory before, such as migrations; a failure stops it.' })
      .exactOptional(),
    after: commands.meta({ description: 'Commands run in directory afterwards; a failure counts.' }).exactOptional(),
    timeout: duration
      .meta({ description: 'Longest time of each command and of docker compose up. Default: 5m.' })
      .exactOptional(),
    others: z
      .enum(['ask', 'apply', 'refuse'])
      .meta({
        description:
          'What becomes of changes that come along besides the image, such as another command or port: ask waits for a decision, ' +
          'apply makes and names them, refuse blocks until the repository is mended. Default: ask.',
      })
      .exactOptional(),
  },
  'docker compose up of the services, in a folder of the host.',
);

const container = text(
  'the name of a container',
  /^(?:[A-Za-z0-9]|\{service\}|\{stage\})(?:[A-Za-z0-9_.-]|\{service\}|\{stage\})*$/,
);
const count = z.int().min(1);

const docker = map(
  {
    container: container.meta({ description: `One container by name; ${filledIn}.` }).exactOptional(),
    containers: z
      .array(container)
      .min(1)
      .meta({ description: `Several by name, in order; ${filledIn}.` })
      .exactOptional(),
    label: text('a label as KEY or KEY=VALUE', /^[^\s=]+(?:=.*)?$/)
      .meta({ description: `All that have this label of their own, not from their image; ${filledIn}.` })
      .exactOptional(),
    canary: count.meta({ description: 'How many are done, and watched, before the rest. Default: all at once.' }).exactOptional(),
    batch: count.meta({ description: 'How many of the rest are done at once. Default: all.' }).exactOptional(),
    timeout: duration.meta({ description: 'Longest time until a container runs and is healthy. Default: 2m.' }).exactOptional(),
  },
  'Containers that are recreated with the new image and what was set on them.',
);

const workflow = map(
  {
    repository,
    workflow: text('the file name or id of a workflow')
      .meta({ description: 'File name, such as deploy.yml, or id.' })
      .exactOptional(),
    ref,
    inputs: z
      .record(text('the name of an input'), z.string())
      .meta({
        description: 'Inputs; {service}, {stage}, {image}, {tag}, {digest}, {commit} and {rollout} are filled in.',
      })
      .exactOptional(),
    timeout: duration.meta({ description: 'Longest time of the run. Default: 30m.' }).exactOptional(),
  },
  'A workflow of GitHub Actions, by workflow_dispatch.',
);

const deployment = map(
  {
    repository,
    ref,
    environment: text('the name of an environment').meta({ description: "Default: the stage's name." }).exactOptional(),
    timeout: duration.meta({ description: 'Longest time until somebody reports its success. Default: 30m.' }).exactOptional(),
  },
  'A Deployment at GitHub, which somebody else carries out and reports on.',
);

export const deploy = map(
  {
    on: hostName
      .meta({ description: 'The host whose worker does it (LANDFALL_HOSTS there names it). Default: default.' })
      .exactOptional(),
    compose: compose.exactOptional(),
    docker: docker.exactOptional(),
    workflow: workflow.exactOptional(),
    deployment: deployment.exactOptional(),
  },
  'How the image comes to run: one of compose, docker, workflow and deployment.',
);

export type DeployInput = z.output<typeof deploy>;
