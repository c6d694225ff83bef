import { z } from 'zod';
import type { Complain } from '../../settings/problem.ts';
import { command, composeService, duration, text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import type { ResolvedStage } from '../deploy.ts';

/** What the configuration says of deploys by Compose. */

export interface ComposeDeployPlan {
  /** Absolute, on the host: a folder with a compose file, in a checkout of the deployment repository where the stage has a `change`. */
  readonly directory: string;
  /** Compose files relative to `directory`; empty: what `docker compose` finds there by itself. */
  readonly files: readonly string[];
  /** Absent: what `docker compose` makes of the folder's name. */
  readonly project?: string;
  /** Services of the compose file that are recreated. At least one. */
  readonly services: readonly string[];
  /** Commands run in `directory` before and after, each as its words; a failure of one stops the deploy. */
  readonly before: readonly (readonly string[])[];
  readonly after: readonly (readonly string[])[];
  /** Longest time of each command and of `docker compose up`. */
  readonly timeoutMs: number;
  /**
   * What becomes of changes that a deploy would bring along besides the image. `ask`: an operator decides. `apply`: they are made, and
   * named. `refuse`: only a mended repository helps.
   */
  readonly others: 'ask' | 'apply' | 'refuse';
}

const filledIn = '{service} and {stage} are filled in';
const commands = z.array(command);

export const composeSchema = map(
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

export function resolveCompose(
  input: z.output<typeof composeSchema>,
  { change }: ResolvedStage,
  complain: Complain,
): ComposeDeployPlan {
  const { directory = '', file, files, project, services, before, after, timeout, others } = input;
  if (directory === '') complain(['directory'], 'expected an absolute path on the host, found nothing');
  if (file !== undefined && files !== undefined) complain([], 'expected only one of file and files, found both');
  const changed = change?.target.kind === 'compose' ? change.target.services : ['{service}'];
  return {
    directory,
    files: files ?? (file === undefined ? [] : [file]),
    ...(project === undefined ? {} : { project }),
    services: services ?? changed,
    before: before ?? [],
    after: after ?? [],
    timeoutMs: timeout ?? 5 * 60_000,
    others: others ?? 'ask',
  };
}

export function fillCompose(deploy: ComposeDeployPlan, fill: (text: string) => string): ComposeDeployPlan {
  const { directory, files, project, services } = deploy;
  return {
    ...deploy,
    directory: fill(directory),
    files: files.map(fill),
    ...(project === undefined ? {} : { project: fill(project) }),
    services: services.map(fill),
  };
}
