import { ApplicationFailure, Context } from '@temporalio/activity';
import { Refusal } from '../domain/failures.ts';
import type { ImageIdentity, Proposal } from '../domain/outcomes.ts';
import type { ChangePlan, Plan, StagePlan } from '../domain/plan.ts';
import type { CheckReport } from '../domain/proposal.ts';
import { BranchMoved, type ChangeRequest, type Forge, type OwnChange } from '../forges/forge.ts';
import { foreignIn, type RepositoryReader } from '../forges/own-change.ts';
import { editManifest, restoreManifest, sameBesidePlaces } from '../platform/manifest-editor/index.ts';
import type { Dependencies } from './dependencies.ts';

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

/**
 * The change of a stage, and its forge, which stops before the next call once the activity is cancelled: a retry finds what was done so far.
 * @param aim for the message: what is to be done with the change
 */
export function openStage(
  forgeFor: Dependencies['forgeFor'],
  { plan, stage: { name, change } }: { readonly plan: Plan; readonly stage: StagePlan },
  aim: 'merge' | 'propose',
): { change: ChangePlan; forge: Forge } {
  if (change === undefined) {
    throw ApplicationFailure.nonRetryable(`stage ${name} of ${plan.service} has no change to ${aim}`, 'NoChange');
  }
  const forge = new Proxy(forgeFor(change.repository), {
    get(target, method) {
      Context.current().cancellationSignal.throwIfAborted();
      return Reflect.get(target, method);
    },
  });
  return { change, forge };
}

export interface CommittedFile {
  readonly commit: string;
  readonly text: string;
}

/** The file of a change on its base branch. @throws Refusal if there is no such branch or file */
export async function baseOf(forge: Forge, change: ChangePlan): Promise<CommittedFile> {
  const commit = await baseHead(forge, change);
  const text = await forge.readFile(change.repository, commit, change.file);
  if (text !== undefined) return { commit, text };
  throw new Refusal(
    'FileNotFound',
    `expected the file ${change.file} on branch ${change.base} of ${shown(change.repository)}, found none: create it, or set change.file`,
  );
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

/** A branch of ours, and what it is made from. */
export interface OwnBranch {
  readonly forge: Forge;
  readonly change: ChangePlan;
  readonly image: ImageIdentity;
  readonly branch: string;
  readonly base: CommittedFile;
}

export interface ProposedFile {
  /** The file of the base as it is to be. */
  readonly edited: string;
  readonly message: string;
  /** The file as a person left it on the branch, with the change in it. */
  readonly editForeign: (present: string | undefined, refusal: () => Promise<Refusal>) => Promise<string>;
  /** What the forge shows people. */
  readonly request: Pick<ChangeRequest, 'title' | 'body' | 'reviewers' | 'assignees'>;
  readonly checks: readonly CheckReport[];
}

/**
 * Writes the branch, and opens or updates its proposal.
 * @returns `foreign`, if the branch has more than our change, so that a person has to merge it: makes the refusal that says what
 */
export async function proposeFile(
  own: OwnBranch,
  proposed: ProposedFile,
): Promise<{ proposal: Proposal; foreign: (() => Promise<Refusal>) | undefined }> {
  const { forge, change, branch, base } = own;
  const { repository, labels } = change;
  const { head, foreign } = await writeBranch(own, proposed);
  const opened = await forge.openChange({ repository, base: change.base, branch, head, labels, ...proposed.request });
  await forge.reportChecks(repository, head, proposed.checks);
  return { proposal: { ...opened, baseCommit: base.commit }, foreign };
}

async function writeBranch(
  own: OwnBranch,
  { edited, message, editForeign }: ProposedFile,
): Promise<{ head: string; foreign?: () => Promise<Refusal> }> {
  const { forge, change, branch, base } = own;
  const { repository, file } = change;
  const write = { repository, branch, path: file, message };
  const head = await forge.head(repository, branch);
  if (head === undefined) {
    return { head: await forge.commitFile({ ...write, parents: [base.commit], treeOf: base.commit, text: edited }) };
  }
  const foreign = await foreignOn(own, head);
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
export function foreignOn({ forge, change, image, branch, base }: OwnBranch, head: string): ReturnType<typeof foreignIn> {
  const { repository } = change;
  const reader: RepositoryReader = {
    changes: (base, head) => forge.changes(repository, base, head),
    readFile: (commit, path) => forge.readFile(repository, commit, path),
    compare: (base, head) => forge.compare(repository, base, head),
  };
  // Of any image: nothing but the values of the change differs.
  const own = ownChange(change, (before, after) => sameBesidePlaces(before, change, image, after));
  const range = { repository: shown(repository), branch, base: change.base, baseCommit: base.commit, head };
  return foreignIn(reader, own, range);
}

/** A proposal may write the image where the change says, computed from the file as it is there now. */
export function imageIn(change: ChangePlan, image: ImageIdentity): OwnChange {
  return ownChange(change, async (before, after) => (await editManifest(before, change, image)).text === after);
}

/** A rollback: the values of the change are again what they were before the proposal. */
export function previousIn(change: ChangePlan, image: ImageIdentity, { before, after, written }: Proposal): OwnChange {
  return ownChange(change, async (text, wanted) => {
    if (before === undefined || after === undefined) return false;
    // Restoring with before and after swapped gives the file that the rollback must produce.
    const back = { before: after, after: before, ...(written && { written: { before: written.after, after: written.before } }) };
    const restored = await restoreManifest(text, change, image, back);
    return restored.kind === 'restored' && restored.text === wanted;
  });
}

function ownChange({ file }: ChangePlan, makes: OwnChange['makes']): OwnChange {
  return {
    path: file,
    async makes(before, after) {
      try {
        return await makes(before, after);
      } catch (error) {
        // The file does not have the values of the change.
        if (error instanceof Refusal) return false;
        throw error;
      }
    },
  };
}

/** A remote's address without the credentials that somebody may have written into it. */
export function shown(repository: string): string {
  return repository.replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1');
}
