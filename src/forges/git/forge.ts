import type { Environment } from '../../domain/environment.ts';
import { type Clone, createGitCache } from '../../platform/git/cache.ts';
import { createGitRunner } from '../../platform/git/command.ts';
import { asDeployment, asSource, parseRemote } from '../../platform/git/remote.ts';
import { BranchMoved, type Forge } from '../forge.ts';
import { commitFiles, deleteBranch, fetchHead, mayPush } from './branches.ts';
import { mergeProposal, proposalState } from './merge-branch.ts';
import { changesBetween, compareCommits, ensureCommits, lastChange, readText } from './objects.ts';

export interface GitForgeOptions {
  /** For bare clones of the remotes: a cache that may be thrown away at any time. */
  readonly folder: string;
  /** The environment that git gets; it holds what git needs to find its configuration, credential helpers and ssh keys. */
  readonly env: Environment;
  /** The git program; default: `git` on PATH. 2.38 or later, for `merge-tree`. */
  readonly git?: string;
}

/**
 * Any git remote as a forge: https, http, ssh, or a path. The proposal is the branch itself: deleting it closes the proposal,
 * merging it into the base accepts it. There is no work tree: commits are made from objects alone.
 */
export function createGitForge({ folder, env, git = 'git' }: GitForgeOptions): Forge {
  const use = createGitCache(folder, createGitRunner(git, env), asDeployment, [BranchMoved]);

  function having<Result>(repository: string, commits: readonly string[], act: (clone: Clone) => Promise<Result>) {
    return use(repository, async (clone) => {
      await ensureCommits(clone, commits);
      return act(clone);
    });
  }

  return {
    head: (repository, branch) => use(repository, (clone) => fetchHead(clone, branch)),
    readFile: (repository, commit, path) => having(repository, [commit], (clone) => readText(clone, commit, path)),
    compare: (repository, base, head) => having(repository, [base, head], (clone) => compareCommits(clone, base, head)),
    changes: (repository, base, head) => having(repository, [base, head], (clone) => changesBetween(clone, base, head)),
    commitFiles: (commit) => use(commit.repository, (clone) => commitFiles(clone, commit)),
    openChange: async ({ repository, base, branch, head }) => ({
      kind: 'branch',
      url: `${parseRemote(repository, asDeployment).url}#${branch}`,
      branch,
      base,
      head,
    }),
    // Plain git has no place for them: what the checks said stands in the rollout, and nothing is proposed before they passed.
    reportChecks: async () => {},
    state: (repository, proposal, own) => use(repository, (clone) => proposalState(clone, proposal, own)),
    merge: (merge) => use(merge.repository, (clone) => mergeProposal(clone, merge)),
    deleteBranch: (repository, branch, head) => use(repository, (clone) => deleteBranch(clone, branch, head)),
    close: (repository, { branch, head }) => use(repository, (clone) => deleteBranch(clone, branch, head)),
    lastChange: (repository, commit, path) => having(repository, [commit], (clone) => lastChange(clone, commit, path)),
    remote: async (repository) => ({ url: parseRemote(repository, asSource).url, env: {} }),
    diagnose: (repository) => use(repository, mayPush),
  };
}
