import type { z } from 'zod';
import { repositoryAtGitHub } from '../../settings/github.ts';
import type { Complain } from '../../settings/problem.ts';
import { duration, text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import type { ResolvedStage } from '../deploy.ts';
import { askedAt, refOf } from '../kit/github-settings.ts';

/** What the configuration says of deploys by a Deployment at GitHub. */

export interface DeploymentDeployPlan {
  /** `owner/name` */
  readonly repository: string;
  readonly ref: string;
  readonly environment: string;
  readonly timeoutMs: number;
}

export const deploymentSchema = map(
  {
    ...askedAt,
    environment: text('the name of an environment').meta({ description: "Default: the stage's name." }).exactOptional(),
    timeout: duration.meta({ description: 'Longest time until somebody reports its success. Default: 30m.' }).exactOptional(),
  },
  'A Deployment at GitHub, which somebody else carries out and reports on.',
);

export function resolveDeployment(
  input: z.output<typeof deploymentSchema>,
  stage: ResolvedStage,
  complain: Complain,
): DeploymentDeployPlan {
  return {
    repository: repositoryAtGitHub(input, stage, complain),
    ref: refOf(input, stage),
    environment: input.environment ?? stage.stage,
    timeoutMs: input.timeout ?? 30 * 60_000,
  };
}
