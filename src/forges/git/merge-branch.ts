import { Refusal } from '../../domain/failures.ts';
import type { Proposal, ProposalState, RateLimited } from '../../domain/outcomes.ts';
import type { MergeMethod } from '../../domain/plan.ts';
import { headMergedBy } from '../../domain/proposal-commit.ts';
import type { GitRemote } from '../../platform/git/remote.ts';
import { BranchMoved, type MergeAnswer, type MergeRequest, type OwnChange } from '../forge.ts';
import { foreignAmong, foreignIn, foreignRefusal, type RepositoryReader } from '../own-change.ts';
import type { CachedRepository } from './cache.ts';
import { changesBetween, changesOf } from './changes.ts';
import { type Author, compareCommits, fetchHead, readText, writeCommit } from './objects.ts';
import { branchRefused, PushRefused, push } from './push.ts';

/** The state of a proposal on a plain git remote, and its merge: everything is read from the two branches. */

type Merged = Extract<ProposalState, { kind: 'merged' }>;

export async function proposalState(
  clone: CachedRepository,
  remote: GitRemote,
  proposal: Proposal,
  own: OwnChange | undefined,
): Promise<Exclude<ProposalState, RateLimited>> {
  // Read the branch first: it is deleted after the merge, so if it is gone, the base read afterwards has the merge.
  const head = await fetchHead(clone, remote, proposal.branch);
  const base = await baseHead(clone, remote, proposal.base);
  const merged = await findMerge(clone, remote, proposal, base, own);
  if (merged !== undefined) return merged;
  if (head === undefined) return { kind: 'closed' };
  const tree = await mergedTree(clone, base, head);
  const mergeable = tree === undefined ? 'conflicting' : 'ready';
  return { kind: 'open', head, pending: [], failing: [], reviews: [], mergeable, queued: 'no' };
}

/**
 * What is looked at is what is merged: commits never change, and the base has to be where it was.
 * @throws Refusal, or BranchMoved if somebody pushed to the base in between
 */
export async function mergeProposal(
  clone: CachedRepository,
  remote: GitRemote,
  { proposal, own, method = 'squash', title, message }: MergeRequest,
  author: Author,
): Promise<MergeAnswer> {
  const head = await fetchHead(clone, remote, proposal.branch);
  const base = await baseHead(clone, remote, proposal.base);
  const merged = await findMerge(clone, remote, proposal, base, own);
  if (merged !== undefined) return outcomeOf(merged);
  refuseUnlessThere(remote, proposal, head);
  await refuseForeign(clone, remote, proposal, own, base);
  const tree = await mergedTree(clone, base, proposal.head);
  if (tree === undefined) {
    return { kind: 'not-yet', reason: `${proposal.branch} conflicts with what ${proposal.base} has by now` };
  }
  // Somebody wrote the same by hand: there is nothing left to merge.
  if (tree === (await treeOf(clone, base))) return { kind: 'merged', commit: base, found: true };
  const commit = await writeCommit(clone, author, {
    tree,
    parents: parentsOf(method, base, proposal.head),
    message: `${title}\n\n${message}`,
  });
  const rejection = await push(clone, remote, { branch: proposal.base, from: base, to: commit });
  if (rejection === undefined) return { kind: 'merged', commit };
  const now = await fetchHead(clone, remote, proposal.base);
  if (now !== base) throw new BranchMoved(remote.url, proposal.base);
  throw rejection instanceof PushRefused ? mergeRefused(remote, proposal, rejection) : rejection;
}

function outcomeOf({ commit, by }: Merged): MergeAnswer {
  return { kind: 'merged', commit, ...(by !== undefined && { by }), found: true };
}

/** There is one commit to rebase, in all but the rarest cases: it is squashed. */
function parentsOf(method: MergeMethod, base: string, head: string): string[] {
  return method === 'merge' ? [base, head] : [base];
}

function refuseUnlessThere({ url }: GitRemote, { branch, head: expected }: Proposal, head: string | undefined): void {
  if (head === expected) return;
  if (head === undefined) {
    throw new Refusal('MergeRefused', `expected branch ${branch} in ${url}, found none: somebody closed the proposal`);
  }
  throw new Refusal(
    'HeadMoved',
    `expected ${branch} of ${url} at ${expected.slice(0, 12)}, which was checked and approved, found ${head.slice(0, 12)}: somebody pushed to it; retry to propose the image again`,
  );
}

async function refuseForeign(
  clone: CachedRepository,
  remote: GitRemote,
  { branch, base, head }: Proposal,
  own: OwnChange,
  baseCommit: string,
): Promise<void> {
  const reading = readingOf(clone, remote);
  const foreign = await foreignIn(reading, own, baseCommit, head);
  if (foreign === undefined) return;
  throw await foreignRefusal(reading, { repository: remote.url, branch, base, baseCommit, head, path: own.path }, foreign);
}

function readingOf(clone: CachedRepository, remote: GitRemote): RepositoryReader {
  return {
    changes: (base, head) => changesBetween(clone, base, head),
    readFile: (commit, path) => readText(clone, remote, commit, path),
    compare: (base, head) => compareCommits(clone, base, head),
  };
}

function mergeRefused({ url }: GitRemote, { base }: Proposal, { reason, said }: PushRefused): Refusal {
  return new Refusal(
    'MergeRefused',
    `${url} refused the merge into ${base} (${reason})${said === '' ? '' : `: ${said}`}; allow Landfall to push to ${base}, or merge by hand (merge: manual)`,
  );
}

async function baseHead(clone: CachedRepository, remote: GitRemote, base: string): Promise<string> {
  const head = await fetchHead(clone, remote, base);
  if (head !== undefined) return head;
  throw new Refusal('ForgeRefused', `expected a branch ${base} in ${remote.url}, found none: create it, or set change.base`);
}

/** The tree that merging two commits gives, or undefined if they conflict. Nothing is checked out. */
async function mergedTree(clone: CachedRepository, base: string, head: string): Promise<string | undefined> {
  // Without a common ancestor there is nothing to merge by.
  if ((await clone.ask(['merge-base', base, head], [1])).exitCode === 1) return undefined;
  const result = await clone.ask(['merge-tree', '--write-tree', '--no-messages', base, head], [1]);
  return result.exitCode === 1 ? undefined : result.stdout.toString('utf8').trim();
}

async function treeOf(clone: CachedRepository, commit: string): Promise<string> {
  return (await clone.local(['rev-parse', `${commit}^{tree}`])).stdout.toString('utf8').trim();
}

/** The commit that merged the proposal into the base, by anybody. */
async function findMerge(
  clone: CachedRepository,
  remote: GitRemote,
  proposal: Proposal,
  base: string,
  own: OwnChange | undefined,
): Promise<Merged | undefined> {
  const ours = own === undefined ? undefined : await findByTrailer(clone, remote, proposal, base, own);
  if (ours !== undefined) return ours;
  const { head } = proposal;
  return (await clone.has(head)) && (await isAncestor(clone, head, base)) ? mergeOf(clone, head, base) : undefined;
}

async function isAncestor(clone: CachedRepository, ancestor: string, of: string): Promise<boolean> {
  return (await clone.ask(['merge-base', '--is-ancestor', ancestor, of], [1])).exitCode === 0;
}

const mergeFormat = '--format=%H%n%cn%n%cI%n%B';

/** Anybody can write the trailer of a merge of ours; only a commit that brings what the proposal does is one. */
async function findByTrailer(
  clone: CachedRepository,
  remote: GitRemote,
  proposal: Proposal,
  base: string,
  own: OwnChange,
): Promise<Merged | undefined> {
  const { baseCommit, head } = proposal;
  const since = baseCommit !== undefined && (await clone.has(baseCommit)) ? [`${baseCommit}..${base}`] : [base];
  const { stdout } = await clone.local([
    'log',
    '-z',
    '--encoding=UTF-8',
    '--fixed-strings',
    `--grep=Landfall-Head: ${head}`,
    mergeFormat,
    ...since,
    '--',
  ]);
  const claimed = mergesIn(stdout).filter(({ message }) => headMergedBy(message) === head);
  for (const { merged } of claimed) if (await bringsJust(clone, remote, own, merged.commit)) return merged;
  return undefined;
}

async function bringsJust(clone: CachedRepository, remote: GitRemote, own: OwnChange, commit: string): Promise<boolean> {
  const parent = await clone.ask(['rev-parse', '--verify', '--quiet', `${commit}^1`], [1]);
  if (parent.exitCode === 1) return false;
  const changes = await changesOf(clone, parent.stdout.toString('utf8').trim(), commit);
  return changes.files.length === 1 && (await foreignAmong(readingOf(clone, remote), own, changes, commit)) === undefined;
}

/** The first commit of the base's own line that has the commit: its merge, or (fast forward) the commit itself. */
async function mergeOf(clone: CachedRepository, commit: string, base: string): Promise<Merged> {
  const own = await clone.local(['rev-list', '--first-parent', `${commit}^..${base}`, '--']);
  if (own.stdout.toString('utf8').split('\n').includes(commit)) return { kind: 'merged', commit };
  const { stdout } = await clone.local([
    'log',
    '-z',
    '--encoding=UTF-8',
    '--first-parent',
    '--ancestry-path',
    '--reverse',
    mergeFormat,
    `${commit}..${base}`,
    '--',
  ]);
  return mergesIn(stdout)[0]?.merged ?? { kind: 'merged', commit };
}

function mergesIn(stdout: Buffer): { readonly merged: Merged; readonly message: string }[] {
  return stdout
    .toString('utf8')
    .split('\0')
    .filter((entry) => entry !== '')
    .map((entry) => {
      const [commit = '', by = '', at = '', ...message] = entry.split('\n');
      return { merged: { kind: 'merged', commit, by, at }, message: message.join('\n') };
    });
}

/** Only if it is still at `head`: what somebody pushed to it is theirs. */
export async function deleteBranch(clone: CachedRepository, remote: GitRemote, branch: string, head: string): Promise<void> {
  if ((await fetchHead(clone, remote, branch)) !== head) return;
  const rejection = await push(clone, remote, { branch, from: head });
  if (rejection === undefined || (await fetchHead(clone, remote, branch)) !== head) return;
  throw rejection instanceof PushRefused ? branchRefused(remote, branch, rejection) : rejection;
}
