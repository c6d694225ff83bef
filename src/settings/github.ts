import { isGitHubRepository } from '../domain/github-repository.ts';
import type { Complain } from './problem.ts';
import { showValue } from './wording.ts';

/** What to complain of where a repository at GitHub is named, and GitHub is not configured. */
export function needsGitHub(repository: string): string {
  return `expected forge.github with token or app, because ${showValue(repository)} is a repository at GitHub (begin a path with ./)`;
}

/** The repository (`owner/name`) where GitHub is asked: where nothing else is said, the deployment repository. Empty where there is none. */
export function repositoryAtGitHub(
  { repository }: { readonly repository?: string },
  { change, hasGitHub }: { readonly change?: { readonly repository: string }; readonly hasGitHub: boolean },
  complain: Complain,
): string {
  const named = repository ?? (change !== undefined && isGitHubRepository(change.repository) ? change.repository : undefined);
  if (named === undefined)
    complain(['repository'], 'expected a GitHub repository as owner/name, found nothing here and in change');
  else if (!hasGitHub) complain(['repository'], needsGitHub(named));
  return named ?? '';
}
