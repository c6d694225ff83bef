import { Refusal } from '../../domain/failures.ts';
import { answeredWith } from './errors.ts';
import type { GitHubRepository } from './repository.ts';

/** Beside the default branch; a release is rarely built from any other. */
const mostBranches = 20;

/**
 * Whether a commit is on a branch of the repository itself: GitHub finds those of all forks by their hash as well. Asked are the default
 * branch, branches whose head it is, and protected ones.
 * @returns undefined where that cannot be asked: GitHub does not know the commit, or the token may not read contents
 */
export async function isOnBranch(repository: GitHubRepository, commit: string): Promise<boolean | undefined> {
  const { octokit, named } = repository;
  try {
    const sha = await wholeHash(repository, commit);
    if (sha === undefined) return undefined;
    const { data } = await octokit.rest.repos.get(named);
    if (await isPartOf(repository, sha, data.default_branch)) return true;
    const heads = await octokit.rest.repos.listBranchesForHeadCommit({ ...named, commit_sha: sha });
    if (heads.data.length > 0) return true;
    const branches = await octokit.rest.repos.listBranches({ ...named, protected: true, per_page: mostBranches });
    for (const { name } of branches.data) {
      if (name !== data.default_branch && (await isPartOf(repository, sha, name))) return true;
    }
    return false;
  } catch (error) {
    if (error instanceof Refusal && answeredWith(error, 403)) return undefined;
    throw error;
  }
}

async function wholeHash({ octokit, named }: GitHubRepository, commit: string): Promise<string | undefined> {
  try {
    const { data } = await octokit.rest.repos.getCommit({ ...named, ref: commit, per_page: 1 });
    return data.sha;
  } catch (error) {
    if (answeredWith(error, 404) || answeredWith(error, 422)) return undefined;
    throw error;
  }
}

/** 404: the two have nothing in common. */
async function isPartOf({ octokit, named }: GitHubRepository, sha: string, branch: string): Promise<boolean> {
  try {
    const basehead = `${branch}...${sha}`;
    const { data } = await octokit.rest.repos.compareCommitsWithBasehead({ ...named, basehead, per_page: 1 });
    return data.status === 'behind' || data.status === 'identical';
  } catch (error) {
    if (answeredWith(error, 404)) return false;
    throw error;
  }
}
