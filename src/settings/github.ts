import { isGitHubRepository } from '../domain/github-repository.ts';
import type { Complain } from './problem.ts';
import { showValue } from './wording.ts';

/** How GitHub is reached, for whatever is done there: it is more than a forge. Its section is `forge.github`. */

/** Exactly one of `token` and `app`. */
export interface GitHubSettings {
  readonly token?: string;
  readonly app?: { readonly id: string; readonly privateKey: string; readonly installationId?: number };
  /** Base of the REST API, without a slash at the end; absent: github.com's. */
  readonly url?: string;
  /** Repositories (`owner/name`) and organizations whose webhooks that lead to Landfall are asked for failed deliveries. */
  readonly hooks?: readonly ({ readonly repository: string } | { readonly organization: string })[];
}

/** Undefined where GitHub is not configured. @param forge the section `forge` as the schemas of its kinds read it */
export function gitHubSettings({ github }: Readonly<Record<string, unknown>> = {}): GitHubSettings | undefined {
  return isGitHubSettings(github) ? github : undefined;
}

function isGitHubSettings(read: unknown): read is GitHubSettings {
  return typeof read === 'object' && read !== null && ('token' in read || 'app' in read);
}

/** Which sections `forge` has. */
export interface ForgeSections {
  readonly forges: readonly string[];
}

export function hasGitHub({ forges }: ForgeSections): boolean {
  return forges.includes('github');
}

/** What to complain of where a repository at GitHub is named, and GitHub is not configured. */
export function needsGitHub(repository: string): string {
  return `expected forge.github with token or app, because ${showValue(repository)} is a repository at GitHub (begin a path with ./)`;
}

/** The repository (`owner/name`) where GitHub is asked: where nothing else is said, the deployment repository. Empty where there is none. */
export function repositoryAtGitHub(
  { repository }: { readonly repository?: string },
  { change, ...configured }: ForgeSections & { readonly change?: { readonly repository: string } },
  complain: Complain,
): string {
  const named = repository ?? (change !== undefined && isGitHubRepository(change.repository) ? change.repository : undefined);
  if (named === undefined)
    complain(['repository'], 'expected a GitHub repository as owner/name, found nothing here and in change');
  else if (!hasGitHub(configured)) complain(['repository'], needsGitHub(named));
  return named ?? '';
}
