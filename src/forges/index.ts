import { Refusal } from '../domain/failures.ts';
import { isGitHubRepository } from '../domain/github-repository.ts';
import type { Forge } from './forge.ts';

export interface Forges {
  /** Absent: GitHub is not configured. */
  readonly github?: Forge;
  readonly git: Forge;
}

/**
 * Which forge a repository of the configuration lives on: `owner/name` is GitHub's, a URL or path is a plain git remote (a path of two
 * components is written `./deployment/repository`).
 * @throws Refusal `ForgeRefused` for a repository on GitHub if GitHub is not configured
 */
export function createForges({ github, git }: Forges): (repository: string) => Forge {
  return (repository) => {
    if (!isGitHubRepository(repository)) return git;
    if (github !== undefined) return github;
    throw new Refusal(
      'ForgeRefused',
      `'${repository}' is a repository on GitHub, and GitHub is not configured: add forge.github with a token or an app, or write a git remote as URL or path`,
    );
  };
}
