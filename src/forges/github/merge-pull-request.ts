import { messageOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import type { Proposal } from '../../domain/outcomes.ts';
import type { MergeMethod } from '../../domain/plan.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { type GitHubRepository, headOf } from '../../platform/github/repository.ts';
import type { MergeAnswer, MergeRequest } from '../forge.ts';
import { foreignIn, type RepositoryReader } from '../own-change.ts';
import { changesBetween, compareCommits, readText } from './objects.ts';
import { endedState, mergeMethods, numberOf, openState, type Pull, readBranchRules, readPull } from './pull-request-state.ts';
import { enqueue, readQueue } from './queue.ts';

/** Merges the very head that was proposed, by REST; by the queue only where the base branch demands it. */
export async function mergePull(repository: GitHubRepository, merge: MergeRequest): Promise<MergeAnswer> {
  const { pull, ended } = await readOurs(repository, merge.proposal);
  if (ended !== undefined) return ended;
  const base = pull.base.ref;
  // Anybody who may edit a pull request can change its base branch, and then it may bring more than our change.
  if (base !== merge.proposal.base) {
    throw new Refusal(
      'MergeRefused',
      `expected ${pull.html_url} to go into ${merge.proposal.base}, found that it goes into ${base}: somebody changed that; change it back, then retry`,
    );
  }
  const rules = await readBranchRules(repository, base);
  const baseBefore = await headOf(repository, base);
  await refuseForeign(repository, merge, baseBefore);
  if (rules.hasQueue) return enqueuePull(repository, merge);
  let refusal: unknown;
  for (const method of await methodsFor(repository, rules.methods, merge.method)) {
    try {
      return await mergeBy(repository, merge, method);
    } catch (error) {
      refusal = error;
    }
    // A method that is not allowed and everything else that is missing are one status at GitHub: the state of the pull request tells them apart.
    const outcome = await lookAfter(repository, merge, refusal);
    if (outcome !== undefined) return outcome;
  }
  if ((await headOf(repository, base)) !== baseBefore) return notYet(`${base} moved meanwhile`);
  throw mergeRefused(merge, refusal);
}

/**
 * The pull request with our very head. `ended`: it was merged, by an earlier attempt of ours or by somebody else.
 * @throws Refusal if it was closed, or has another head
 */
async function readOurs(repository: GitHubRepository, proposal: Proposal): Promise<{ pull: Pull; ended?: MergeAnswer }> {
  const pull = await readPull(repository, numberOf(proposal));
  const { html_url: url, head } = pull;
  if (pull.state !== 'open') {
    const { by, ...ended } = await endedState(repository, pull);
    if (ended.kind === 'closed') {
      throw new Refusal('MergeRefused', `expected ${url} to be open, found it closed by ${by ?? 'somebody'}`);
    }
    return { pull, ended: { kind: 'merged', commit: ended.commit, ...(by !== undefined && { by }), found: true } };
  }
  if (head.sha === proposal.head) return { pull };
  throw new Refusal(
    'HeadMoved',
    `expected ${url} at ${proposal.head.slice(0, 12)}, which was checked and approved, found ${head.sha.slice(0, 12)}: somebody pushed to ${proposal.branch}; retry to propose the image again`,
  );
}

/**
 * The pull request is merged with this very head, so it brings what is seen here. By rebase, too: GitHub refuses one whose result would not
 * be that of a merge. https://docs.github.com/pull-requests/collaborating-with-pull-requests/incorporating-changes-from-a-pull-request/about-pull-request-merges
 */
async function refuseForeign(
  repository: GitHubRepository,
  { proposal: { branch, base, head }, own }: MergeRequest,
  baseCommit: string | undefined,
): Promise<void> {
  const { fullName } = repository;
  if (baseCommit === undefined) {
    throw new Refusal('MergeRefused', `expected a branch ${base} in ${fullName}, found none: create it, then retry`);
  }
  const reader: RepositoryReader = {
    changes: (base, head) => changesBetween(repository, base, head),
    readFile: (commit, path) => readText(repository, commit, path),
    compare: (base, head) => compareCommits(repository, base, head),
  };
  const foreign = await foreignIn(reader, own, { repository: fullName, branch, base, baseCommit, head });
  if (foreign !== undefined) throw await foreign();
}

/** Which methods to try, in this order. A weak token is not told what the repository allows, and has to find out. */
async function methodsFor(
  { octokit, named }: GitHubRepository,
  byRules: readonly MergeMethod[],
  wanted: MergeMethod | undefined,
): Promise<readonly MergeMethod[]> {
  if (wanted !== undefined) return [wanted];
  const { data } = await octokit.rest.repos.get(named);
  const isAllowed: Record<MergeMethod, boolean> = {
    squash: data.allow_squash_merge ?? true,
    merge: data.allow_merge_commit ?? true,
    rebase: data.allow_rebase_merge ?? true,
  };
  const allowed = byRules.filter((method) => isAllowed[method]);
  return allowed.length > 0 ? allowed : mergeMethods;
}

async function mergeBy(
  { octokit, named }: GitHubRepository,
  { proposal, title, message }: MergeRequest,
  method: MergeMethod,
): Promise<MergeAnswer> {
  const number = numberOf(proposal);
  const { data } = await octokit.rest.pulls.merge({
    ...named,
    pull_number: number,
    sha: proposal.head,
    merge_method: method,
    // As GitHub's own page does it.
    commit_title: `${title} (#${number})`,
    commit_message: message,
  });
  if (data?.merged === true) return { kind: 'merged', commit: data.sha };
  throw new Error(`expected GitHub to merge ${proposal.url} or to say why not, found neither: it is looked at again`);
}

/** Its state after GitHub did not merge it; undefined: as ready as before. @throws Refusal, or what was thrown if it is broken */
async function lookAfter(repository: GitHubRepository, merge: MergeRequest, refusal: unknown): Promise<MergeAnswer | undefined> {
  const isForbidden = answeredWith(refusal, 403) || answeredWith(refusal, 422);
  if (!isForbidden && !answeredWith(refusal, 405) && !answeredWith(refusal, 409)) throw refusal;
  const { pull, ended } = await readOurs(repository, merge.proposal);
  if (ended !== undefined) return ended;
  if (isForbidden) throw mergeRefused(merge, refusal);
  if (answeredWith(refusal, 409)) return notYet('GitHub is at work on the pull request');
  const { queued, mergeable, missing = 'what its base branch demands' } = await openState(repository, pull);
  if (queued !== 'no') return enqueuePull(repository, merge);
  if (mergeable === 'ready') return undefined;
  const reasons = {
    behind: `the branch is behind ${pull.base.ref}, which demands that it is not`,
    conflicting: `the branch conflicts with what ${pull.base.ref} has by now`,
    unknown: 'GitHub is still working out whether it can be merged',
    waiting: `waits for ${missing}`,
  };
  return notYet(reasons[mergeable]);
}

async function enqueuePull(repository: GitHubRepository, merge: MergeRequest): Promise<MergeAnswer> {
  const { proposal } = merge;
  const queue = await readQueue(repository, numberOf(proposal));
  if (queue === undefined) throw mergeRefused(merge, new Error('the merge queue knows no such pull request'));
  // Only a pull request whose head is ours was put there: a push takes it out again.
  if (queue.isIn) return { kind: 'queued' };
  const { id, putOut } = queue;
  // The same head would only be put out once more.
  if (putOut !== undefined) {
    throw new Refusal(
      'MergeRefused',
      `the merge queue of ${proposal.base} had ${proposal.url} and put it out again at ${putOut.at} (${putOut.reason}): put it into the queue by hand, or push a mended image`,
    );
  }
  try {
    await enqueue(repository, id, proposal.head);
    return { kind: 'queued' };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { pull, ended } = await readOurs(repository, proposal);
    if (ended !== undefined) return ended;
    const { mergeable, missing, pending, failing } = await openState(repository, pull);
    if (mergeable === 'ready' && pending.length + failing.length === 0) throw mergeRefused(merge, error);
    return notYet(missing === undefined ? `GitHub says that it is ${mergeable}` : `waits for ${missing}`);
  }
}

function mergeRefused({ proposal, method }: MergeRequest, cause: unknown): Refusal {
  const how = method === undefined ? '' : ` by ${method}`;
  return new Refusal(
    'MergeRefused',
    `GitHub does not let us merge ${proposal.url}${how}: ${messageOf(cause)}; allow it in the rules of ${proposal.base} and in the settings of the repository, or merge by hand (merge: manual)`,
    [],
    { cause },
  );
}

function notYet(reason: string): MergeAnswer {
  return { kind: 'not-yet', reason };
}
