import { defineNotifier } from '../notifier.ts';
import { type GitHubTarget, githubSchema } from './plan.ts';

/** Deployments with their status, on the source commit in the source repository. */
export const githubNotifier = defineNotifier({
  kind: 'github',
  schema: () => githubSchema,
  usualEvents: ['deploying', 'healthy', 'unhealthy', 'rolled-back', 'failed'],
  needsGitHub: 'Deployments are made there',
  resolve: (input: true | GitHubTarget) => ({ settings: input === true ? {} : input, updates: 'stage' }),
  async create(context) {
    const { createGitHubNotifier } = await import('./notifier.ts');
    return createGitHubNotifier(context);
  },
});
