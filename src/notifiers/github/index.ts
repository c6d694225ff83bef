import { z } from 'zod';
import { githubRepository } from '../../settings/scalars.ts';
import { expecting, map, oneOrMany, optional } from '../../settings/wording.ts';
import { defineNotifier } from '../notifier.ts';

const whereNothingIsNamed =
  'deployments are made only in repositories that the OIDC token of a job proves (receivers.event): name the repository, or a list of them, for what others tell of';

/** Deployments with their status, on the source commit in the source repository. */
export const githubNotifier = defineNotifier({
  kind: 'github',
  schema: () =>
    z
      .union(
        [
          z.literal(true),
          map(
            {
              repository: optional(
                oneOrMany(githubRepository, 'a GitHub repository as owner/name'),
                'Where deployments may be made: of a list, in the one that the push names. Beside it: in the one that the OIDC token of a job proves.',
              ),
              skipRequiredContexts: optional(
                z.boolean(),
                'true: also where required checks of the commit have not passed. Default: false.',
              ),
            },
            'Where deployments may be made.',
          ),
        ],
        expecting('true or a map (repository, skipRequiredContexts)'),
      )
      .describe('Deployments with their status, on the source commit at GitHub.'),
  usualEvents: ['deploying', 'healthy', 'unhealthy', 'rolled-back', 'failed'],
  needsGitHub: 'Deployments are made there',
  resolve: (input) => ({ settings: input === true ? {} : input, updates: 'stage' }),
  note: ({ repository }) => (repository === undefined ? whereNothingIsNamed : undefined),
  create: async (context) => (await import('./notifier.ts')).createGitHubNotifier(context),
});
