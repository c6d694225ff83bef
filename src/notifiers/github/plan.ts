import { z } from 'zod';
import { githubRepository } from '../../settings/scalars.ts';
import { map, showValue } from '../../settings/wording.ts';

/** What the configuration says of Deployments at GitHub that tell people. */

export interface GitHubTarget {
  /** `owner/name`, where the push names no source repository. */
  readonly repository?: string;
}

export const githubSchema = z
  .union([z.literal(true), map({ repository: githubRepository }, 'Where the push names no source repository.')], {
    error: (issue) => `expected true or a map (repository), found ${showValue(issue.input)}`,
  })
  .meta({ description: 'Deployments with their status, on the source commit at GitHub.' });
