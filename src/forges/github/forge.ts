import type { Octokit } from 'octokit';
import type { Log } from '../../domain/log.ts';
import type { Proposal } from '../../domain/outcomes.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { type GitHubRepository, headOf, openRepository } from '../../platform/github/repository.ts';
import type { Forge } from '../forge.ts';
import { changesBetween } from './changes.ts';
import { compareCommits } from './compare.ts';
import { commitFile, readText } from './files.ts';
import { mergePull } from './merge-pull-request.ts';
import { openChange } from './pull-request.ts';
import { numberOf, pullRequestState, readPull } from './pull-request-state.ts';
import { reportChecks } from './statuses.ts';

export interface GitHubForgeOptions {
  /** A client for `owner/name` whose errors are classified: see `createGitHubClients`. */
  readonly clientFor: (repository: string) => Promise<Octokit>;
  /** Told about reviewers and assignees that GitHub does not take. */
  readonly log: Pick<Log, 'warn'>;
}

/** GitHub as a forge: the proposal is a pull request, what the checks said are commit statuses. */
export function createGitHubForge({ clientFor, log }: GitHubForgeOptions): Forge {
  const open = (repository: string) => openRepository(clientFor, repository);
  return {
    head: async (repository, branch) => headOf(await open(repository), branch),
    readFile: async (repository, commit, path) => readText(await open(repository), commit, path),
    compare: async (repository, base, head) => compareCommits(await open(repository), base, head),
    changes: async (repository, base, head) => changesBetween(await open(repository), base, head),
    commitFile: async (commit) => commitFile(await open(commit.repository), commit),
    openChange: async (change) => openChange(await open(change.repository), change, log),
    reportChecks: async (repository, head, checks) => reportChecks(await open(repository), head, checks),
    state: async (repository, proposal) => pullRequestState(await open(repository), proposal),
    merge: async (merge) => mergePull(await open(merge.repository), merge),
    deleteBranch: async (repository, branch, head) => deleteBranch(await open(repository), branch, head),
    close: async (repository, proposal) => closePull(await open(repository), proposal),
    lastChange: async (repository, commit, path) => lastChange(await open(repository), commit, path),
  };
}

/** Only if it is still at `head`: what somebody pushed to it is theirs. GitHub may have deleted it by itself. */
async function deleteBranch(repository: GitHubRepository, branch: string, head: string): Promise<void> {
  const { octokit, named } = repository;
  if ((await headOf(repository, branch)) !== head) return;
  try {
    await octokit.rest.git.deleteRef({ ...named, ref: `heads/${branch}` });
  } catch (error) {
    // It was deleted in the meantime, or is protected: reading it again tells which.
    if (!answeredWith(error, 422) || (await headOf(repository, branch)) === head) throw error;
  }
}

async function closePull(repository: GitHubRepository, proposal: Proposal): Promise<void> {
  const { octokit, named } = repository;
  const pull = await readPull(repository, numberOf(proposal));
  if (pull.state === 'closed') return;
  await octokit.rest.pulls.update({ ...named, pull_number: pull.number, state: 'closed' });
}

/** The newest commit of a line that changed a file, with the first line of its message. */
async function lastChange(
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
