import { Context } from '@temporalio/activity';
import type { Comparison, Forge } from '../adapters/forge/forge.ts';
import { BranchMoved } from '../adapters/forge/forge.ts';
import { Refusal } from '../domain/failures.ts';
import type { ChangePlan } from '../domain/plan.ts';
import { rolloutOfCommit } from '../domain/proposal-commit.ts';

/** How steps write to a branch of ours: found before it is made, never rewound, and what people committed to it is kept. */

/** How often a branch that moves under our hands is looked at again, before Temporal waits a while. */
const attempts = 3;

/** Does it again where somebody pushed in between. */
export async function whileMoving<Result>(act: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof BranchMoved) || attempt === attempts) throw error;
    }
  }
}

export interface FileAt {
  readonly commit: string;
  readonly text: string;
}

/** The file of a change on its base branch. @throws Refusal where there is no such branch or file */
export async function baseOf(forge: Forge, change: ChangePlan): Promise<FileAt> {
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

/** @throws Refusal where there is no such branch */
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
  readonly branch: string;
  readonly base: FileAt;
  /** The file of the base as it is to be. */
  readonly edited: string;
  readonly message: string;
  /** The file as a person left it on the branch, with the change in it. */
  readonly editForeign: (present: string | undefined) => string;
}

export interface Written {
  /** The commit that the branch has in the end. */
  readonly head: string;
  /** It has commits of a person and lacks some of the base: bringing the two together is theirs to do. */
  readonly isTheirs: boolean;
}

export async function writeBranch({ forge, change, branch, base, edited, message, editForeign }: BranchWrite): Promise<Written> {
  const { repository, file } = change;
  const write = { repository, branch, path: file, message };
  const head = await forge.head(repository, branch);
  if (head === undefined) {
    return ours(forge.commitFile({ ...write, parents: [base.commit], treeOf: base.commit, text: edited }));
  }
  const comparison = await forge.compare(repository, base.commit, head);
  const present = await forge.readFile(repository, head, file);
  const isBehind = comparison.behindBy > 0;
  if (isForeign(comparison)) {
    const text = editForeign(present);
    if (text === present) return { head, isTheirs: isBehind };
    const made = await forge.commitFile({ ...write, expectedHead: head, parents: [head], treeOf: head, text });
    return { head: made, isTheirs: isBehind };
  }
  if (present === edited && !isBehind) return { head, isTheirs: false };
  // With the base as second parent and its tree, the branch is up to date without a conflict, and without rewinding it.
  const parents = isBehind ? [head, base.commit] : [head];
  return ours(forge.commitFile({ ...write, expectedHead: head, parents, treeOf: base.commit, text: edited }));
}

async function ours(commit: Promise<string>): Promise<Written> {
  return { head: await commit, isTheirs: false };
}

/** Somebody else than Landfall has committed to the branch. */
export function isForeign({ commits }: Comparison): boolean {
  return commits.some(({ message }) => rolloutOfCommit(message) === undefined);
}

/** Stops before the next call to the forge once the activity is cancelled: what was done so far, a retry finds. */
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
    commitFile: guarded(forge.commitFile),
    openChange: guarded(forge.openChange),
    reportChecks: guarded(forge.reportChecks),
    standing: guarded(forge.standing),
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
