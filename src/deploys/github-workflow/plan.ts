import { z } from 'zod';
import { repositoryAtGitHub } from '../../settings/github.ts';
import type { Complain } from '../../settings/problem.ts';
import { duration, text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import type { ResolvedStage } from '../deploy.ts';
import { askedAt, refOf } from '../kit/github-settings.ts';

/** What the configuration says of deploys by a workflow of GitHub Actions. */

export interface WorkflowDeployPlan {
  /** `owner/name` */
  readonly repository: string;
  /** File name (`deploy.yml`) or id. */
  readonly workflow: string;
  readonly ref: string;
  /** Templates with `{service}`, `{stage}`, `{image}`, `{tag}`, `{digest}`, `{commit}`, `{rollout}`. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export const workflowSchema = map(
  {
    repository: askedAt.repository,
    workflow: text('the file name or id of a workflow')
      .meta({ description: 'File name, such as deploy.yml, or id.' })
      .exactOptional(),
    ref: askedAt.ref,
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

export function resolveWorkflow(
  input: z.output<typeof workflowSchema>,
  stage: ResolvedStage,
  complain: Complain,
): WorkflowDeployPlan {
  const { workflow = '', inputs, timeout } = input;
  if (workflow === '') complain(['workflow'], 'expected the file name or id of a workflow, such as deploy.yml, found nothing');
  return {
    repository: repositoryAtGitHub(input, stage, complain),
    workflow,
    ref: refOf(input, stage),
    inputs: inputs ?? {},
    timeoutMs: timeout ?? 30 * 60_000,
  };
}
