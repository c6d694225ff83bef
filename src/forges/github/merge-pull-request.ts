import { messageOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import type { MergeMethod } from '../../domain/plan.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { type GitHubRepository, headOf } from '../../platform/github/repository.ts';
import type { MergeAnswer, MergeRequest } from '../forge.ts';
import { foreignIn, foreignRefusal } from '../own-change.ts';
import { type BranchRules, readBranchRules } from './branch-rules.ts';
import { changesBetween } from './changes.ts';
import { compareCommits } from './compare.ts';
import { readText } from './files.ts';
import { endedState, numberOf, openState, type Pull, readPull } from './pull-request-state.ts';
import { enqueue, type QueueState, readQueue } from './queue.ts';

/** Merges the very head that was proposed, by REST; by the queue only where the base branch demands it. */
export async function mergePull(repository: GitHubRepository, merge: MergeRequest): Promise<MergeAnswer> {
  const pull = await readPull(repository, numberOf(merge.proposal));
  const ended = await endOf(repository, pull);
  if (ended !== undefined) return ended;
  refuseUnlessHead(pull, merge);
  refuseUnlessBase(pull, merge);
  const rules = await readBranchRules(repository, pull.base.ref);
  const baseBefore = await headOf(repository, pull.base.ref);
  await refuseForeign(repository, merge, baseBefore);
  if (rules.hasQueue) return enqueuePull(repository, merge);
  let refusal: unknown;
  for (const method of await methodsFor(repository, rules, merge.method)) {
    try {
      return await mergeBy(repository, merge, method);
    } catch (error) {
      refusal = error;
    }
    // A method that is not allowed and everything else that is missing are one status at GitHub: the state of the pull request tells them apart.
    const outcome = await lookAfter(repository, merge, refusal);
    if (outcome !== undefined) return outcome;
  }
  if ((await headOf(repository, pull.base.ref)) !== baseBefore) return notYet(`${pull.base.ref} moved meanwhile`);
  throw mergeRefused(merge, refusal);
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
  if (data?.merged !== true)
    throw new Error(`expected GitHub to merge ${proposal.url} or to say why not, found neither: it is looked at again`);
  return { kind: 'merged', commit: data.sha };
}

/** Its state after GitHub did not merge it; undefined: as ready as before. @throws Refusal, or what was thrown if it is broken */
async function lookAfter(repository: GitHubRepository, merge: MergeRequest, refusal: unknown): Promise<MergeAnswer | undefined> {
  const forbidden = answeredWith(refusal, 403) || answeredWith(refusal, 422);
  if (!forbidden && !answeredWith(refusal, 405) && !answeredWith(refusal, 409)) throw refusal;
  const pull = await readPull(repository, numberOf(merge.proposal));
  const ended = await endOf(repository, pull);
  if (ended !== undefined) return ended;
  refuseUnlessHead(pull, merge);
  if (forbidden) throw mergeRefused(merge, refusal);
  if (answeredWith(refusal, 409)) return notYet('GitHub is at work on the pull request');
  const state = await openState(repository, pull);
  if (state.queued !== 'no') return enqueuePull(repository, merge);
  switch (state.mergeable) {
    case 'behind':
      return notYet(`the branch is behind ${pull.base.ref}, which demands that it is not`);
    case 'conflicting':
      return notYet(`the branch conflicts with what ${pull.base.ref} has by now`);
    case 'unknown':
      return notYet('GitHub is still working out whether it can be merged');
    case 'waiting':
      return notYet(`waits for ${state.missing ?? 'what its base branch demands'}`);
    case 'ready':
      return undefined;
  }
}

async function enqueuePull(repository: GitHubRepository, merge: MergeRequest): Promise<MergeAnswer> {
  const number = numberOf(merge.proposal);
  const queue = await readQueue(repository, number);
  if (queue === undefined) throw mergeRefused(merge, new Error('the merge queue knows no such pull request'));
  // Only a pull request whose head is ours was put there: a push takes it out again.
  if (queue.isIn) return { kind: 'queued' };
  refuseIfPutOut(queue, merge);
  try {
    await enqueue(repository, queue.id, merge.proposal.head);
    return { kind: 'queued' };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const pull = await readPull(repository, number);
    const ended = await endOf(repository, pull);
    if (ended !== undefined) return ended;
    refuseUnlessHead(pull, merge);
    const { mergeable, missing, pending, failing } = await openState(repository, pull);
    if (mergeable === 'ready' && pending.length + failing.length === 0) throw mergeRefused(merge, error);
    return notYet(missing === undefined ? `GitHub says that it is ${mergeable}` : `waits for ${missing}`);
  }
}

/** The same head would only be put out once more. */
function refuseIfPutOut({ putOut }: QueueState, { proposal }: MergeRequest): void {
  if (putOut === undefined) return;
  throw new Refusal(
    'MergeRefused',
    `the merge queue of ${proposal.base} had ${proposal.url} and put it out again at ${putOut.at} (${putOut.reason}): put it into the queue by hand, or push a mended image`,
  );
}

/** Merged, by an earlier attempt of ours or by somebody else. @throws Refusal if it was closed */
async function endOf(repository: GitHubRepository, pull: Pull): Promise<MergeAnswer | undefined> {
  if (pull.state === 'open') return undefined;
  const ended = await endedState(repository, pull);
  if (ended.kind === 'merged') {
    return { kind: 'merged', commit: ended.commit, ...(ended.by !== undefined && { by: ended.by }), found: true };
  }
  throw new Refusal('MergeRefused', `expected ${pull.html_url} to be open, found it closed by ${ended.by ?? 'somebody'}`);
}

function refuseUnlessHead({ head, html_url: url }: Pull, { proposal }: MergeRequest): void {
  if (head.sha === proposal.head) return;
  throw new Refusal(
    'HeadMoved',
    `expected ${url} at ${proposal.head.slice(0, 12)}, which was checked and approved, found ${head.sha.slice(0, 12)}: somebody pushed to ${proposal.branch}; retry to propose the image again`,
  );
}

/** Anybody who may edit a pull request can change its base branch, and then it may bring more than our change. */
function refuseUnlessBase({ base, html_url: url }: Pull, { proposal }: MergeRequest): void {
  if (base.ref === proposal.base) return;
  throw new Refusal(
    'MergeRefused',
    `expected ${url} to go into ${proposal.base}, found that it goes into ${base.ref}: somebody changed that; change it back, then retry`,
  );
}

/**
 * The pull request is merged with this very head, so it brings what is seen here. By rebase, too: GitHub refuses one whose result would not
 * be that of a merge. https://docs.github.com/pull-requests/collaborating-with-pull-requests/incorporating-changes-from-a-pull-request/about-pull-request-merges
 */
async function refuseForeign(
  repository: GitHubRepository,
  { proposal, own }: MergeRequest,
  baseCommit: string | undefined,
): Promise<void> {
  const { branch, base, head } = proposal;
  if (baseCommit === undefined) {
    throw new Refusal('MergeRefused', `expected a branch ${base} in ${repository.fullName}, found none: create it, then retry`);
  }
  const reading = {
    changes: (base: string, head: string) => changesBetween(repository, base, head),
    readFile: (commit: string, path: string) => readText(repository, commit, path),
    compare: (base: string, head: string) => compareCommits(repository, base, head),
  };
  const foreign = await foreignIn(reading, own, baseCommit, head);
  if (foreign === undefined) return;
  const place = { repository: repository.fullName, branch, base, baseCommit, head, path: own.path };
  throw await foreignRefusal(reading, place, foreign);
}

/** Which methods to try, in this order. A weak token is not told what the repository allows, and has to find out. */
async function methodsFor(
  { octokit, named }: GitHubRepository,
  rules: BranchRules,
  wanted: MergeMethod | undefined,
): Promise<readonly MergeMethod[]> {
  if (wanted !== undefined) return [wanted];
  const { data } = await octokit.rest.repos.get(named);
  const isAllowed: Record<MergeMethod, boolean> = {
    squash: data.allow_squash_merge ?? true,
    merge: data.allow_merge_commit ?? true,
    rebase: data.allow_rebase_merge ?? true,
  };
  const all: readonly MergeMethod[] = ['squash', 'merge', 'rebase'];
  const allowed = all.filter((method) => isAllowed[method] && (rules.methods ?? all).includes(method));
  return allowed.length > 0 ? allowed : all;
}

function mergeRefused({ proposal, method }: MergeRequest, cause: unknown): Refusal {
  const said = messageOf(cause);
  const how = method === undefined ? '' : ` by ${method}`;
  return new Refusal(
    'MergeRefused',
    `GitHub does not let us merge ${proposal.url}${how}: ${said}; allow it in the rules of ${proposal.base} and in the settings of the repository, or merge by hand (merge: manual)`,
    [],
    { cause },
  );
}

function notYet(reason: string): MergeAnswer {
  return { kind: 'not-yet', reason };
}
