import type { Octokit } from 'octokit';
import type { Forge } from './forge.ts';
import { closePull, deleteBranch, lastChange } from './github/branches.ts';
import { changesBetween } from './github/changes.ts';
import { compareCommits } from './github/compare.ts';
import { commitFile, readText } from './github/files.ts';
import { mergePull } from './github/merge.ts';
import type { Log } from './github/people.ts';
import { openChange } from './github/pull-request.ts';
import { headOf, openRepository } from './github/repository.ts';
import { standingOf } from './github/standing.ts';
import { reportChecks } from './github/statuses.ts';

export interface GitHubForgeOptions {
  /** A client for `owner/name` whose errors are classified: see `createGitHubClients`. */
  readonly clientFor: (repository: string) => Promise<Octokit>;
  /** Told about reviewers and assignees that GitHub does not take. */
  readonly log: Log;
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
    standing: async (repository, proposal) => standingOf(await open(repository), proposal),
    merge: async (merge) => mergePull(await open(merge.repository), merge),
    deleteBranch: async (repository, branch, head) => deleteBranch(await open(repository), branch, head),
    close: async (repository, proposal) => closePull(await open(repository), proposal),
    lastChange: async (repository, commit, path) => lastChange(await open(repository), commit, path),
  };
}
