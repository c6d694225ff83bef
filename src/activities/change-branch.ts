import { Context } from '@temporalio/activity';
import { Refusal } from '../domain/failures.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';
import type { ChangePlan } from '../domain/plan.ts';
import type { Forge } from '../forges/forge.ts';
import { BranchMoved } from '../forges/forge.ts';
import { foreignIn, type RepositoryReader } from '../forges/own-change.ts';
import { anyImageIn } from './own-change.ts';

/** How activities write to a branch of ours: an existing one is reused, never force-pushed, and what people committed to it is kept. */

/** Attempts while somebody else pushes to the branch, before Temporal's retry policy waits. */
const attempts = 3;

/** Tries again if somebody pushed in between. */
export async function retryWhileBranchMoves<Result>(act: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof BranchMoved) || attempt === attempts) throw error;
    }
  }
}

export interface CommittedFile {
  readonly commit: string;
  readonly text: string;
}

/** The file of a change on its base branch. @throws Refusal if there is no such branch or file */
export async function baseOf(forge: Forge, change: ChangePlan): Promise<CommittedFile> {
  const commit = await baseHead(forge, change);
  const text = await forge.readFile(change.repository, commit, change.file);
  if (text === undefined) {
    throw new Refusal(
      'FileNotFound',
      `expected the file ${change.file} on branch ${change.base} of ${shown(change.repository)}, found none: create it, or set change.file`,
    );
  }
  return { commit, text };
}

/** @throws Refusal if there is no such branch */
export async function baseHead(forge: Forge, { repository, base }: ChangePlan): Promise<string> {
  const commit = await forge.head(repository, base);
  if (commit !== undefined) return commit;
  throw new Refusal(
    'ForgeRefused',
    `expected a branch ${base} in ${shown(repository)}, found none: create it, or set change.base`,
  );
}

export interface BranchWrite {
  readonly forge: Forge;
  readonly change: ChangePlan;
  readonly image: ImageIdentity;
  readonly branch: string;
  readonly base: CommittedFile;
  /** The file of the base as it is to be. */
  readonly edited: string;
  readonly message: string;
  /** The file as a person left it on the branch, with the change in it. */
  readonly editForeign: (present: string | undefined, refusal: () => Promise<Refusal>) => Promise<string>;
}

export interface BranchResult {
  /** The commit that the branch has in the end. */
  readonly head: string;
  /** The branch has more than our change, so a person has to merge it. Makes the refusal that says what. */
  readonly foreign?: () => Promise<Refusal>;
}

export async function writeBranch(writing: BranchWrite): Promise<BranchResult> {
  const { forge, change, image, branch, base, edited, message, editForeign } = writing;
  const { repository, file } = change;
  const write = { repository, branch, path: file, message };
  const head = await forge.head(repository, branch);
  if (head === undefined) {
    return { head: await forge.commitFile({ ...write, parents: [base.commit], treeOf: base.commit, text: edited }) };
  }
  const foreign = await foreignOn(forge, change, image, branch, base, head);
  const present = await forge.readFile(repository, head, file);
  if (foreign !== undefined) {
    const text = await editForeign(present, foreign);
    if (text === present) return { head, foreign };
    return { head: await forge.commitFile({ ...write, expectedHead: head, parents: [head], treeOf: head, text }), foreign };
  }
  const isBehind = (await forge.compare(repository, base.commit, head)).behindBy > 0;
  if (present === edited && !isBehind) return { head };
  // With the base as second parent and its tree, the branch is up to date without a conflict, and without rewinding it.
  const parents = isBehind ? [head, base.commit] : [head];
  return { head: await forge.commitFile({ ...write, expectedHead: head, parents, treeOf: base.commit, text: edited }) };
}

/** What the branch changes besides the image. Authors and messages of its commits prove nothing, so only content counts. */
export function foreignOn(
  forge: Forge,
  change: ChangePlan,
  image: ImageIdentity,
  branch: string,
  base: CommittedFile,
  head: string,
): ReturnType<typeof foreignIn> {
  const { repository } = change;
  const reader: RepositoryReader = {
    changes: (base, head) => forge.changes(repository, base, head),
    readFile: (commit, path) => forge.readFile(repository, commit, path),
    compare: (base, head) => forge.compare(repository, base, head),
  };
  const range = { repository: shown(repository), branch, base: change.base, baseCommit: base.commit, head };
  return foreignIn(reader, anyImageIn(change, image), range);
}

/** Stops before the next call to the forge once the activity is cancelled: a retry finds what was done so far. */
export function uncancelled(forge: Forge): Forge {
  const guarded = <Args extends readonly unknown[], Result>(call: (...args: Args) => Promise<Result>) => {
    return (...args: Args): Promise<Result> => {
      const { cancellationSignal } = Context.current();
      return cancellationSignal.aborted ? Promise.reject(cancellationSignal.reason) : call(...args);
    };
  };
  return {
    head: guarded(forge.head),
    readFile: guarded(forge.readFile),
    compare: guarded(forge.compare),
    changes: guarded(forge.changes),
    commitFile: guarded(forge.commitFile),
    openChange: guarded(forge.openChange),
    reportChecks: guarded(forge.reportChecks),
    state: guarded(forge.state),
    merge: guarded(forge.merge),
    deleteBranch: guarded(forge.deleteBranch),
    close: guarded(forge.close),
    lastChange: guarded(forge.lastChange),
  };
}

/** A remote's address without the credentials that somebody may have written into it. */
export function shown(repository: string): string {
  return repository.replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1');
}
