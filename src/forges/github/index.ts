import { isGitHubRepository } from '../../domain/github-repository.ts';
import { needsGitHub } from '../../settings/github.ts';
import { defineForge } from '../forge.ts';
import { gitHubSchema } from './plan.ts';

/** GitHub: a proposal is a pull request, and what the checks said are statuses of its head. */
export const gitHubForge = defineForge({
  kind: 'github',
  section: { schema: gitHubSchema, needed: needsGitHub },
  reviews: true,
  accepts: isGitHubRepository,
  async create(context) {
    const { createGitHubForge } = await import('./forge.ts');
    return createGitHubForge(context);
  },
});
