import { headOf, openRepository } from '../../platform/github/repository.ts';
import type { Forge, ForgeContext } from '../forge.ts';
import { reportChecks } from './checks.ts';
import { mergePull } from './merge-pull-request.ts';
import { changesBetween, commitFiles, compareCommits, lastChange, readText } from './objects.ts';
import { closePull, deleteBranch, openChange } from './pull-request.ts';
import { pullRequestState } from './pull-request-state.ts';
import { remoteOf } from './remote.ts';
import { rightsIn } from './rights.ts';

/** GitHub as a forge: the proposal is a pull request, what the checks said are commit statuses. */
export function createGitHubForge({ clientFor, log }: Pick<ForgeContext, 'clientFor' | 'log'>): Forge {
  const open = (repository: string) => openRepository(clientFor, repository);
  return {
    head: async (repository, branch) => headOf(await open(repository), branch),
    readFile: async (repository, commit, path) => readText(await open(repository), commit, path),
    compare: async (repository, base, head) => compareCommits(await open(repository), base, head),
    changes: async (repository, base, head) => changesBetween(await open(repository), base, head),
    commitFiles: async (commit) => commitFiles(await open(commit.repository), commit),
    openChange: async (change) => openChange(await open(change.repository), change, log),
    reportChecks: async (repository, head, checks) => reportChecks(await open(repository), head, checks),
    state: async (repository, proposal) => pullRequestState(await open(repository), proposal),
    merge: async (merge) => mergePull(await open(merge.repository), merge),
    deleteBranch: async (repository, branch, head) => deleteBranch(await open(repository), branch, head),
    close: async (repository, proposal) => closePull(await open(repository), proposal),
    lastChange: async (repository, commit, path) => lastChange(await open(repository), commit, path),
    remote: async (repository) => remoteOf(await clientFor(repository), repository),
    diagnose: async (repository) => rightsIn(await open(repository)),
  };
}
