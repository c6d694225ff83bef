import type { Proposal } from '../../domain/outcomes.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { type GitHubRepository, headOf } from '../../platform/github/repository.ts';
import { numberOf, readPull } from './standing.ts';

/** Only where it is still at `head`: what somebody pushed to it is theirs. GitHub may have deleted it by itself. */
export async function deleteBranch(repository: GitHubRepository, branch: string, head: string): Promise<void> {
  const { octokit, named } = repository;
  if ((await headOf(repository, branch)) !== head) return;
  try {
    await octokit.rest.git.deleteRef({ ...named, ref: `heads/${branch}` });
  } catch (error) {
    // Gone since we looked, or protected: where it is now tells which.
    if (!answeredWith(error, 422) || (await headOf(repository, branch)) === head) throw error;
  }
}

export async function closePull(repository: GitHubRepository, proposal: Proposal): Promise<void> {
  const { octokit, named } = repository;
  const pull = await readPull(repository, numberOf(proposal));
  if (pull.state === 'closed') return;
  await octokit.rest.pulls.update({ ...named, pull_number: pull.number, state: 'closed' });
}

/** The newest commit of a line that changed a file, with the first line of its message. */
export async function lastChange(
  { octokit, named }: GitHubRepository,
  commit: string,
  path: string,
): Promise<{ sha: string; author: string; message: string } | undefined> {
  const { data } = await octokit.rest.repos.listCommits({ ...named, sha: commit, path, per_page: 1 });
  const [newest] = data;
  if (newest === undefined) return undefined;
  const { author, message } = newest.commit;
  return { sha: newest.sha, author: newest.author?.login ?? author?.name ?? '', message: message.split('\n', 1)[0] ?? '' };
}
