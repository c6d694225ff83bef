import { ApplicationFailure, Context } from '@temporalio/activity';
import { Refusal } from '../domain/failures.ts';
import type { ImageIdentity, Proposal } from '../domain/outcomes.ts';
import { type ChangedFile, type ChangePlan, filesOf, type Plan, type StagePlan } from '../domain/plan.ts';
import type { CheckReport } from '../domain/proposal.ts';
import { BranchMoved, type ChangeRequest, type FileText, type Forge, type OwnChange } from '../forges/forge.ts';
import { foreignIn, type RepositoryReader } from '../forges/own-change.ts';
import { editManifest, restoreManifest, sameBesidePlaces } from '../platform/manifest-editor/index.ts';
import { partsOf, type Texts } from './changed-files.ts';
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

export interface CommittedFiles {
  readonly commit: string;
  readonly texts: Texts;
}

/** The files of a change on its base branch. @throws Refusal if there is no such branch, or one of the files is not there */
export async function baseOf(forge: Forge, change: ChangePlan): Promise<CommittedFiles> {
  const commit = await baseHead(forge, change);
  const texts = await readFiles(forge, change, commit);
  if (isWhole(texts)) return { commit, texts };
  const missing = filesOf(change)[texts.indexOf(undefined)]?.file;
  throw new Refusal(
    'FileNotFound',
    `expected the file ${missing} on branch ${change.base} of ${shown(change.repository)}, found none: create it, or set change.file`,
  );
}

/** The files of a change at a commit; undefined for one that is not there. */
export async function readFiles(forge: Forge, change: ChangePlan, commit: string): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = [];
  for (const { file } of filesOf(change)) texts.push(await forge.readFile(change.repository, commit, file));
  return texts;
}

export function isWhole(texts: readonly (string | undefined)[]): texts is Texts {
  return !texts.includes(undefined);
}

export function isSame(one: readonly (string | undefined)[], other: Texts): boolean {
  return one.every((text, index) => text === other[index]);
}

export function withPaths(change: ChangePlan, texts: Texts): FileText[] {
  return filesOf(change).map(({ file: path }, index) => ({ path, text: texts[index] ?? '' }));
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
  readonly base: CommittedFiles;
}

export interface ProposedFiles {
  /** The files of the base as they are to be. */
  readonly edited: Texts;
  readonly message: string;
  /** The files as people left them on the branch, with the change in them. */
  readonly editForeign: (present: readonly (string | undefined)[], refusal: () => Promise<Refusal>) => Promise<Texts>;
  /** What the forge shows people. */
  readonly request: Pick<ChangeRequest, 'title' | 'body' | 'reviewers' | 'assignees'>;
  readonly checks: readonly CheckReport[];
}

/**
 * Writes the branch, and opens or updates its proposal.
 * @returns `foreign`, if the branch has more than our change, so that a person has to merge it: makes the refusal that says what
 */
export async function proposeFiles(
  own: OwnBranch,
  proposed: ProposedFiles,
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
  { edited, message, editForeign }: ProposedFiles,
): Promise<{ head: string; foreign?: () => Promise<Refusal> }> {
  const { forge, change, branch, base } = own;
  const { repository } = change;
  const write = { repository, branch, message };
  const files = withPaths(change, edited);
  const head = await forge.head(repository, branch);
  if (head === undefined) {
    return { head: await forge.commitFiles({ ...write, parents: [base.commit], treeOf: base.commit, files }) };
  }
  const foreign = await foreignOn(own, head);
  const present = await readFiles(forge, change, head);
  if (foreign !== undefined) {
    const texts = await editForeign(present, foreign);
    if (isSame(present, texts)) return { head, foreign };
    const files = withPaths(change, texts);
    return { head: await forge.commitFiles({ ...write, expectedHead: head, parents: [head], treeOf: head, files }), foreign };
  }
  const isBehind = (await forge.compare(repository, base.commit, head)).behindBy > 0;
  if (isSame(present, edited) && !isBehind) return { head };
  // With the base as second parent and its tree, the branch is up to date without a conflict, and without rewinding it.
  const parents = isBehind ? [head, base.commit] : [head];
  return { head: await forge.commitFiles({ ...write, expectedHead: head, parents, treeOf: base.commit, files }) };
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
  const own = ownChange(change, (file, before, after) => sameBesidePlaces(before, file, image, after));
  const range = { repository: shown(repository), branch, base: change.base, baseCommit: base.commit, head };
  return foreignIn(reader, own, range);
}

/** A proposal may write the image where the change says, computed from the file as it is there now. */
export function imageIn(change: ChangePlan, image: ImageIdentity): OwnChange {
  return ownChange(change, async (file, before, after) => (await editManifest(before, file, image)).text === after);
}

/** A rollback: the values of the change are again what they were before the proposal. */
export function previousIn(change: ChangePlan, image: ImageIdentity, { before, after, written, perFile }: Proposal): OwnChange {
  // Restoring with before and after swapped gives the files that the rollback must produce.
  const swapped = written && { written: { before: written.after, after: written.before } };
  const parts = before && after ? partsOf({ before: after, after: before, ...swapped, ...(perFile && { perFile }) }) : [];
  return ownChange(change, async (file, text, wanted) => {
    const back = parts[filesOf(change).indexOf(file)];
    const restored = back && (await restoreManifest(text, file, image, back));
    return restored?.kind === 'restored' && restored.text === wanted;
  });
}

function ownChange(change: ChangePlan, makes: (file: ChangedFile, before: string, after: string) => Promise<boolean>): OwnChange {
  const files = filesOf(change);
  return {
    paths: files.map(({ file }) => file),
    async makes(path, before, after) {
      const file = files.find(({ file }) => file === path);
      try {
        return file !== undefined && (await makes(file, before, after));
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
