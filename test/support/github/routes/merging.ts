import type { GitRepository } from '../git-repository.ts';
import { mergeability, missingRequirement } from '../mergeability.ts';
import { ErrorReply, notFound, onRepository, pullOf, type RepositoryCall, type Routes } from '../routing.ts';
import { close, now, type Pull, type Repository, type World } from '../state.ts';

/** Merging, and what protection of the base branch asks for before it: https://docs.github.com/rest/pulls/pulls#merge-a-pull-request */

type Method = 'merge' | 'squash' | 'rebase';

interface Merge {
  readonly commit_title?: string;
  readonly commit_message?: string;
  readonly sha?: string;
  readonly merge_method?: Method;
}

const names: Record<Method, string> = { merge: 'Merge commits', squash: 'Squash merges', rebase: 'Rebase merges' };

async function merge(call: RepositoryCall) {
  const { world, account, repository } = call;
  const pull = pullOf(call);
  const wanted = (call.body ?? {}) as Merge;
  const method = wanted.merge_method ?? 'merge';
  const protection = repository.protections.get(pull.base);
  if (pull.state === 'closed' || pull.draft) throw new ErrorReply(405, 'Pull Request is not mergeable');
  if (wanted.sha !== undefined && wanted.sha !== pull.head) {
    throw new ErrorReply(409, 'Head branch was modified. Review and try the merge again.');
  }
  const allowed = repository.settings[method] && (protection?.methods?.includes(method) ?? true);
  if (!allowed) throw new ErrorReply(405, `${names[method]} are not allowed on this repository.`);
  if (protection?.queue) throw new ErrorReply(405, 'Changes must be made through the merge queue');
  if (protection?.restricted && account.login !== 'octocat') {
    throw new ErrorReply(405, "You're not authorized to push to this branch. Visit the documentation for more information.");
  }
  const missing = missingRequirement(repository, pull);
  if (missing !== undefined) throw new ErrorReply(405, missing);
  const { state } = await mergeability(repository, pull);
  if (state === 'behind') throw new ErrorReply(405, 'Head branch is out of date with the base branch.');
  if (state === 'dirty') throw new ErrorReply(405, 'Pull Request is not mergeable');
  const commit = await mergePull(world, repository, pull, account.login, { ...wanted, merge_method: method });
  return { status: 200, body: { sha: commit, merged: true, message: 'Pull Request successfully merged' } };
}

/** @returns the commit that the base branch got */
export async function mergePull(world: World, repository: Repository, pull: Pull, login: string, wanted: Merge): Promise<string> {
  const { git } = repository;
  const base = await git.branchHead(pull.base);
  const tree = base === undefined ? undefined : await git.mergeTree(base, pull.head);
  if (base === undefined || tree === undefined) throw new ErrorReply(405, 'Pull Request is not mergeable');
  const { merge_method: method = 'merge' } = wanted;
  const title = wanted.commit_title ?? `Merge pull request #${pull.number} from ${repository.owner}/${pull.branch}`;
  const person = { name: login, email: `${login}@users.noreply.github.com`, date: now() };
  const commit =
    method === 'rebase'
      ? await rebase(git, base, pull.head, person)
      : await git.writeCommit({
          tree,
          parents: method === 'squash' ? [base] : [base, pull.head],
          message: `${title}\n\n${wanted.commit_message ?? pull.title}`,
          author: person,
          committer: person,
        });
  await git.updateRef(`refs/heads/${pull.base}`, commit, base);
  pull.merged = { at: now(), by: login, commit };
  pull.events.push({ id: world.nextId(), event: 'merged', actor: login, subject: '', at: now() });
  close(world, repository, pull, login);
  if (repository.settings.deletesBranches) await git.deleteRef(`refs/heads/${pull.branch}`);
  return commit;
}

/** Each commit of the branch anew on top of the base; merges of the base into it are left out. */
async function rebase(
  git: GitRepository,
  base: string,
  head: string,
  committer: { name: string; email: string; date: string },
): Promise<string> {
  let top = base;
  for (const commit of await git.commitsBetween(base, head)) {
    const tree = commit.parents.length > 1 ? undefined : await git.mergeTree(base, commit.sha);
    if (tree !== undefined) top = await git.writeCommit({ ...commit, tree, parents: [top], committer });
  }
  return top;
}

async function isMerged(call: RepositoryCall) {
  if (pullOf(call).merged === undefined) throw notFound();
  return { status: 204 };
}

export const mergingRoutes: Routes = {
  'pulls/merge': onRepository(['contents=write'], merge),
  'pulls/check-if-merged': onRepository(['contents=read'], isMerged),
};
