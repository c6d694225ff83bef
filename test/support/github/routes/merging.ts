import { ErrorReply, notFound, onRepository, pullOf, type RepositoryCall, type Routes } from '../routing.ts';
import { close, latestStatuses, now, type Pull, type Repository } from '../state.ts';

/** Merging, and what protection of the base branch asks for before it: https://docs.github.com/rest/pulls/pulls#merge-a-pull-request */

interface Merge {
  readonly commit_title?: string;
  readonly commit_message?: string;
  readonly sha?: string;
  readonly merge_method?: 'merge' | 'squash' | 'rebase';
}

async function merge(call: RepositoryCall) {
  const { world, account, repository } = call;
  const { git } = repository;
  const pull = pullOf(call);
  const wanted = (call.body ?? {}) as Merge;
  if (pull.state === 'closed') throw new ErrorReply(405, 'Pull Request is not mergeable');
  if (wanted.sha !== undefined && wanted.sha !== pull.head) {
    throw new ErrorReply(409, 'Head branch was modified. Review and try the merge again.');
  }
  if (wanted.merge_method === 'rebase') throw new ErrorReply(405, 'Rebase merges are not allowed on this repository.');
  const missing = missingRequirement(repository, pull);
  if (missing !== undefined) throw new ErrorReply(405, missing);
  const base = await git.branchHead(pull.base);
  const tree = base === undefined ? undefined : await git.mergeTree(base, pull.head);
  if (base === undefined || tree === undefined) throw new ErrorReply(405, 'Pull Request is not mergeable');
  const title = wanted.commit_title ?? `Merge pull request #${pull.number} from ${repository.owner}/${pull.branch}`;
  const person = { name: account.login, email: `${account.login}@users.noreply.github.com`, date: now() };
  const commit = await git.writeCommit({
    tree,
    parents: wanted.merge_method === 'squash' ? [base] : [base, pull.head],
    message: `${title}\n\n${wanted.commit_message ?? pull.title}`,
    author: person,
    committer: person,
  });
  await git.updateRef(`refs/heads/${pull.base}`, commit, base);
  pull.merged = { at: now(), by: account.login, commit };
  pull.events.push({ id: world.nextId(), event: 'merged', actor: account.login, subject: '', at: now() });
  close(world, pull, account.login);
  return { status: 200, body: { sha: commit, merged: true, message: 'Pull Request successfully merged' } };
}

/** What the protection of the base branch still asks for, in GitHub's words. */
function missingRequirement(repository: Repository, pull: Pull): string | undefined {
  const protection = repository.protections.get(pull.base);
  if (protection === undefined) return undefined;
  const passed = new Set([
    ...latestStatuses(repository, pull.head)
      .filter(({ state }) => state === 'success')
      .map(({ context }) => context),
    ...repository.checkRuns
      .filter(({ sha, conclusion }) => sha === pull.head && conclusion === 'success')
      .map(({ name }) => name),
  ]);
  const context = protection.contexts.find((required) => !passed.has(required));
  if (context !== undefined) return `Required status check "${context}" is expected.`;
  const latest = new Map(pull.reviews.filter(({ state }) => state !== 'COMMENTED').map(({ user, state }) => [user, state]));
  const approvals = [...latest.values()].filter((state) => state === 'APPROVED').length;
  if (approvals >= protection.approvals) return undefined;
  return `At least ${protection.approvals} approving review is required by reviewers with write access.`;
}

async function isMerged(call: RepositoryCall) {
  if (pullOf(call).merged === undefined) throw notFound();
  return { status: 204 };
}

export const mergingRoutes: Routes = {
  'pulls/merge': onRepository(['contents=write'], merge),
  'pulls/check-if-merged': onRepository(['contents=read'], isMerged),
};
