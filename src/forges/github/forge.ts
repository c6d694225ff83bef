import type { Octokit } from 'octokit';
import { headOf, openRepository } from '../../platform/github/repository.ts';
import type { Forge } from '../forge.ts';
import { closePull, deleteBranch, lastChange } from './branches.ts';
import { changesBetween } from './changes.ts';
import { compareCommits } from './compare.ts';
import { commitFile, readText } from './files.ts';
import { mergePull } from './merge.ts';
import type { Log } from './people.ts';
import { openChange } from './pull-request.ts';
import { standingOf } from './standing.ts';
import { reportChecks } from './statuses.ts';

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
