import { Refusal } from '../../domain/failures.ts';
import type { Proposal, ProposalState, RateLimited } from '../../domain/outcomes.ts';
import { headMergedBy } from '../../domain/proposal.ts';
import type { Clone } from '../../platform/git/cache.ts';
import { BranchMoved, type MergeAnswer, type MergeRequest, type OwnChange } from '../forge.ts';
import { foreignAmong, foreignIn, type RepositoryReader } from '../own-change.ts';
import { fetchHead, push } from './branches.ts';
import { changesBetween, changesOf, compareCommits, logOf, readText, writeCommit } from './objects.ts';

/** The state of a proposal on a plain git remote, and its merge: everything is read from the two branches. */

type Merged = Extract<ProposalState, { kind: 'merged' }>;

export async function proposalState(
  clone: Clone,
  proposal: Proposal,
  own: OwnChange | undefined,
): Promise<Exclude<ProposalState, RateLimited>> {
  const { head, base, merged } = await readBranches(clone, proposal, own);
  if (merged !== undefined) return merged;
  if (head === undefined) return { kind: 'closed' };
  const mergeable = (await mergedTree(clone, base, head)) === undefined ? 'conflicting' : 'ready';
  return { kind: 'open', head, pending: [], failing: [], reviews: [], mergeable, queued: 'no' };
}

async function readBranches(clone: Clone, proposal: Proposal, own: OwnChange | undefined) {
  // The branch first: it is deleted after the merge, so if it is gone, the base read afterwards has the merge.
  const head = await fetchHead(clone, proposal.branch);
  const base = await fetchHead(clone, proposal.base);
  if (base !== undefined) return { head, base, merged: await findMerge(clone, proposal, base, own) };
  throw new Refusal(
    'ForgeRefused',
    `expected a branch ${proposal.base} in ${clone.url}, found none: create it, or set change.base`,
  );
}

/**
 * What is looked at is what is merged: commits never change, and the base has to be where it was.
 * @throws Refusal, or BranchMoved if somebody pushed to the base in between
 */
export async function mergeProposal(clone: Clone, { proposal, own, method, title, message }: MergeRequest): Promise<MergeAnswer> {
  const { url } = clone;
  const { branch, head } = proposal;
  const { head: found, base, merged } = await readBranches(clone, proposal, own);
  if (merged !== undefined) {
    return { kind: 'merged', commit: merged.commit, ...(merged.by !== undefined && { by: merged.by }), found: true };
  }
  if (found !== head) throw movedOrGone(url, proposal, found);
  const where = { repository: url, branch, base: proposal.base, baseCommit: base, head };
  const foreign = await foreignIn(readerOf(clone), own, where);
  if (foreign !== undefined) throw await foreign();
  const tree = await mergedTree(clone, base, head);
  if (tree === undefined) return { kind: 'not-yet', reason: `${branch} conflicts with what ${proposal.base} has by now` };
  // Somebody wrote the same by hand: there is nothing left to merge.
  if (tree === (await clone.text(['rev-parse', `${base}^{tree}`]))) return { kind: 'merged', commit: base, found: true };
  // There is one commit to rebase, in all but the rarest cases: it is squashed.
  const parents = method === 'merge' ? [base, head] : [base];
  const commit = await writeCommit(clone, { tree, parents, message: `${title}\n\n${message}` });
  const refusal = (why: string) =>
    new Refusal(
      'MergeRefused',
      `${url} refused the merge into ${proposal.base} ${why}; allow Landfall to push to ${proposal.base}, or merge by hand (merge: manual)`,
    );
  const rejection = await push(clone, { branch: proposal.base, from: base, to: commit, refusal });
  if (rejection === undefined) return { kind: 'merged', commit };
  throw (await fetchHead(clone, proposal.base)) === base ? rejection : new BranchMoved(url, proposal.base);
}

function movedOrGone(url: string, { branch, head: expected }: Proposal, head: string | undefined): Refusal {
  if (head === undefined) {
    return new Refusal('MergeRefused', `expected branch ${branch} in ${url}, found none: somebody closed the proposal`);
  }
  return new Refusal(
    'HeadMoved',
    `expected ${branch} of ${url} at ${expected.slice(0, 12)}, which was checked and approved, found ${head.slice(0, 12)}: somebody pushed to it; retry to propose the image again`,
  );
}

function readerOf(clone: Clone): RepositoryReader {
  return {
    changes: (base, head) => changesBetween(clone, base, head),
    readFile: (commit, path) => readText(clone, commit, path),
    compare: (base, head) => compareCommits(clone, base, head),
  };
}

/** The tree that merging two commits gives, or undefined if they conflict. Nothing is checked out. */
async function mergedTree(clone: Clone, base: string, head: string): Promise<string | undefined> {
  // Without a common ancestor there is nothing to merge by.
  if ((await clone.ask('merge-base', base, head)) === undefined) return undefined;
  return clone.ask('merge-tree', '--write-tree', '--no-messages', base, head);
}

/** The commit that merged the proposal into the base, by anybody. */
async function findMerge(
  clone: Clone,
  proposal: Proposal,
  base: string,
  own: OwnChange | undefined,
): Promise<Merged | undefined> {
  const ours = own && (await findByTrailer(clone, proposal, base, own));
  if (ours !== undefined) return ours;
  const { head } = proposal;
  const isMerged = (await clone.has(head)) && (await clone.ask('merge-base', '--is-ancestor', head, base)) !== undefined;
  return isMerged ? mergeOf(clone, head, base) : undefined;
}

/** Anybody can write the trailer of a merge of ours; only a commit that brings what the proposal does is one. */
async function findByTrailer(
  clone: Clone,
  { baseCommit, head }: Proposal,
  base: string,
  own: OwnChange,
): Promise<Merged | undefined> {
  const commits = baseCommit !== undefined && (await clone.has(baseCommit)) ? `${baseCommit}..${base}` : base;
  const named = await findMerges(clone, ['--fixed-strings', `--grep=Landfall-Head: ${head}`, commits]);
  for (const { merged, message } of named) {
    if (headMergedBy(message) === head && (await bringsJust(clone, own, merged.commit))) return merged;
  }
  return undefined;
}

async function bringsJust(clone: Clone, own: OwnChange, commit: string): Promise<boolean> {
  const parent = await clone.ask('rev-parse', '--verify', '--quiet', `${commit}^1`);
  if (parent === undefined) return false;
  const changes = await changesOf(clone, parent, commit);
  return changes.files.length > 0 && (await foreignAmong(readerOf(clone), own, changes, commit)) === undefined;
}

/** The first commit of the base's own line that has the commit: its merge, or (fast forward) the commit itself. */
async function mergeOf(clone: Clone, commit: string, base: string): Promise<Merged> {
  const own = await clone.text(['rev-list', '--first-parent', `${commit}^..${base}`, '--']);
  if (own.split('\n').includes(commit)) return { kind: 'merged', commit };
  const [first] = await findMerges(clone, ['--first-parent', '--ancestry-path', '--reverse', `${commit}..${base}`]);
  return first?.merged ?? { kind: 'merged', commit };
}

async function findMerges(clone: Clone, commits: readonly string[]): Promise<{ merged: Merged; message: string }[]> {
  const found = await logOf(clone, '%H%n%cn%n%cI%n%B', commits);
  return found.map(([commit = '', by = '', at = '', message = '']) => ({ merged: { kind: 'merged', commit, by, at }, message }));
}
