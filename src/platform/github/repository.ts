import type { Octokit } from 'octokit';
import { Refusal } from '../../domain/failures.ts';
import { jsonIn } from '../../domain/json.ts';
import { answeredWith } from './errors.ts';

/** One repository at GitHub, and the client to ask about it. */
export interface GitHubRepository {
  readonly octokit: Octokit;
  /** `owner/name` */
  readonly fullName: string;
  /** What every request names. */
  readonly named: { readonly owner: string; readonly repo: string };
}

/** @param repository `owner/name` */
export async function openRepository(
  clientFor: (repository: string) => Promise<Octokit>,
  repository: string,
): Promise<GitHubRepository> {
  const [owner, repo, ...more] = repository.split('/');
  if (!owner || !repo || more.length > 0) {
    throw new Refusal('ForgeRefused', `expected a repository at GitHub as owner/name, found '${repository}'`);
  }
  return { octokit: await clientFor(repository), fullName: repository, named: { owner, repo } };
}

/** Undefined if it does not exist. @throws Refusal if the repository does not, or the token cannot see it: GitHub says 404 for both */
export async function ifExists<Answer>(
  { octokit, named }: GitHubRepository,
  ask: () => Promise<Answer>,
): Promise<Answer | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!answeredWith(error, 404)) throw error;
    await octokit.rest.repos.get(named);
    return undefined;
  }
}

export async function headOf(repository: GitHubRepository, branch: string): Promise<string | undefined> {
  const { octokit, named } = repository;
  try {
    const found = await ifExists(repository, () => octokit.rest.git.getRef({ ...named, ref: `heads/${branch}` }));
    return found?.data.object.sha;
  } catch (error) {
    // A repository without any commit.
    if (answeredWith(error, 409)) return undefined;
    throw error;
  }
}

/** What an open pull request tells about itself, as far as we read it. */
export interface PullRequest {
  readonly number: number;
  readonly html_url: string;
  readonly title: string;
  readonly body: string | null;
  readonly labels: readonly { readonly name: string }[];
  readonly assignees?: readonly { readonly login: string }[] | null;
  readonly requested_reviewers?: readonly { readonly login: string }[] | null;
  readonly requested_teams?: readonly { readonly slug: string }[] | null;
}

export type DeploymentState = 'error' | 'failure' | 'inactive' | 'in_progress' | 'queued' | 'pending' | 'success';

interface DeploymentReport {
  readonly state: DeploymentState;
  /** At most 140 characters. */
  readonly description: string;
  readonly log_url?: string;
}

/** The payload that a deployment was made with: GitHub gives it back as an object or as its JSON text. */
export function payloadOf({ payload }: { readonly payload?: unknown }): Readonly<Record<string, unknown>> {
  const value = typeof payload === 'string' ? jsonIn(payload) : payload;
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** Says how a deployment goes; what its newest status says already is not said again. */
export async function reportDeployment(
  { octokit, named }: GitHubRepository,
  id: number,
  report: DeploymentReport,
): Promise<void> {
  const { data } = await octokit.rest.repos.listDeploymentStatuses({ ...named, deployment_id: id, per_page: 1 });
  const [newest] = data;
  if (newest?.state === report.state && newest.description === report.description) return;
  await octokit.rest.repos.createDeploymentStatus({ ...named, deployment_id: id, ...report });
}
