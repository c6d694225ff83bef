import { z } from 'zod';
import { githubRepository } from '../../settings/scalars.ts';
import { expecting, map } from '../../settings/wording.ts';
import { defineNotifier } from '../notifier.ts';

/** Deployments with their status, on the source commit in the source repository. */
export const githubNotifier = defineNotifier({
  kind: 'github',
  schema: () =>
    z
      .union(
        [z.literal(true), map({ repository: githubRepository }, 'Where the push names no source repository.')],
        expecting('true or a map (repository)'),
      )
      .describe('Deployments with their status, on the source commit at GitHub.'),
  usualEvents: ['deploying', 'healthy', 'unhealthy', 'rolled-back', 'failed'],
  needsGitHub: 'Deployments are made there',
  resolve: (input) => ({ settings: input === true ? {} : input, updates: 'stage' }),
  create: async (context) => (await import('./notifier.ts')).createGitHubNotifier(context),
});
