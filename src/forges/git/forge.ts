import type { Environment } from '../../domain/environment.ts';
import { createGitRunner } from '../../platform/git/command.ts';
import { type GitRemote, parseRemote } from '../../platform/git/remote.ts';
import { BranchMoved, type FileCommit, type Forge } from '../forge.ts';
import { type CachedRepository, createGitCache } from './cache.ts';
import { changesBetween } from './changes.ts';
import { deleteBranch, mergeProposal, proposalState } from './merge-branch.ts';
import {
  type Author,
  compareCommits,
  ensureCommits,
  fetchHead,
  lastChange,
  readText,
  writeCommit,
  writeTree,
} from './objects.ts';
import { branchRefused, PushRefused, push } from './push.ts';

export interface GitForgeOptions {
  /** For bare clones of the remotes: a cache that may be thrown away at any time. */
  readonly folder: string;
  /** The environment that git gets; it holds what git needs to find its configuration, credential helpers and ssh keys. */
  readonly env: Environment;
  /** The git program; default: `git` on PATH. 2.38 or later, for `merge-tree`. */
  readonly git?: string;
  /** Who commits. */
  readonly author?: Author;
}

/** `.invalid` can never belong to anybody (RFC 2606). */
const landfall = { name: 'Landfall', email: 'landfall@landfall.invalid' };

/**
 * Any git remote as a forge: https, http, ssh, or a path. The proposal is the branch itself: deleting it closes the proposal,
 * merging it into the base accepts it. There is no work tree: commits are made from objects alone.
 */
export function createGitForge({ folder, env, git = 'git', author = landfall }: GitForgeOptions): Forge {
  const cache = createGitCache(folder, createGitRunner(git, env));

  function using<Result>(repository: string, act: (clone: CachedRepository, remote: GitRemote) => Promise<Result>) {
    const remote = parseRemote(repository);
    return cache.use(remote, (clone) => act(clone, remote));
  }

  return {
    head: async (repository, branch) => using(repository, (clone, remote) => fetchHead(clone, remote, branch)),

    readFile: async (repository, commit, path) =>
      using(repository, async (clone, remote) => {
        await ensureCommits(clone, remote, [commit]);
        return readText(clone, remote, commit, path);
      }),

    compare: async (repository, base, head) =>
      using(repository, async (clone, remote) => {
        await ensureCommits(clone, remote, [base, head]);
        return compareCommits(clone, base, head);
      }),

    changes: async (repository, base, head) =>
      using(repository, async (clone, remote) => {
        await ensureCommits(clone, remote, [base, head]);
        return changesBetween(clone, base, head);
      }),

    commitFile: async (commit) => {
      if (commit.expectedHead !== undefined && !commit.parents.includes(commit.expectedHead)) {
        throw new Error(
          `expected ${commit.expectedHead} among the parents of a commit on ${commit.branch}: a branch is never rewound`,
        );
      }
      return using(commit.repository, (clone, remote) => commitAndPush(clone, remote, commit, author));
    },

    openChange: async ({ repository, base, branch, head }) => ({
      kind: 'branch',
      url: `${parseRemote(repository).url}#${branch}`,
      branch,
      base,
      head,
    }),

    // Plain git has no place for them: what the checks said stands in the rollout, and nothing is proposed before they passed.
    reportChecks: async () => {},

    state: async (repository, proposal, own) => using(repository, (clone, remote) => proposalState(clone, remote, proposal, own)),

    merge: async (merge) => using(merge.repository, (clone, remote) => mergeProposal(clone, remote, merge, author)),

    deleteBranch: async (repository, branch, head) =>
      using(repository, (clone, remote) => deleteBranch(clone, remote, branch, head)),

    close: async (repository, { branch, head }) =>
      using(repository, (clone, remote) => deleteBranch(clone, remote, branch, head)),

    lastChange: async (repository, commit, path) =>
      using(repository, async (clone, remote) => {
        await ensureCommits(clone, remote, [commit]);
        return lastChange(clone, commit, path);
      }),
  };
}

async function commitAndPush(clone: CachedRepository, remote: GitRemote, commit: FileCommit, author: Author): Promise<string> {
  await ensureCommits(clone, remote, [...commit.parents, commit.treeOf]);
  const tree = await writeTree(clone, commit);
  const sha = await writeCommit(clone, author, { ...commit, tree });
  const { branch, expectedHead } = commit;
  const rejection = await push(clone, remote, {
    branch,
    to: sha,
    ...(expectedHead !== undefined && { from: expectedHead }),
  });
  if (rejection === undefined) return sha;
  const head = await fetchHead(clone, remote, branch);
  // An earlier try was cut off after the remote had taken its push.
  if (head !== undefined && (await isSameCommit(clone, head, tree, commit))) return head;
  if (head !== expectedHead) throw new BranchMoved(remote.url, branch);
  throw rejection instanceof PushRefused ? branchRefused(remote, branch, rejection) : rejection;
}

async function isSameCommit(clone: CachedRepository, head: string, tree: string, commit: FileCommit): Promise<boolean> {
  const { stdout } = await clone.local(['log', '-1', '--encoding=UTF-8', '--format=%T%n%P%n%B', head, '--']);
  const [headTree, parents, ...message] = stdout.toString('utf8').trimEnd().split('\n');
  return headTree === tree && parents === commit.parents.join(' ') && message.join('\n').trimEnd() === commit.message.trimEnd();
}
