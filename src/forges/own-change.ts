import { Refusal } from '../domain/failures.ts';
import { inert } from '../domain/inert-text.ts';
import type { Changes, FileChange, Forge, OwnChange } from './forge.ts';

/** Landfall merges only the change that it has computed. It compares what a branch changes, and never trusts what commits say about themselves. */

/** Reads one repository. */
export interface RepositoryReader {
  changes(base: string, head: string): ReturnType<Forge['changes']>;
  readFile(commit: string, path: string): ReturnType<Forge['readFile']>;
  compare(base: string, head: string): ReturnType<Forge['compare']>;
}

/** What a branch changes beside a change of ours. */
export interface Foreign {
  /** For people: `evil.sh (new)`. Empty if it cannot be determined. */
  readonly files: readonly string[];
  /** There are more, or it cannot be determined. */
  readonly more: boolean;
}

/** @returns undefined if merging `head` into `base` brings our change and nothing else, or nothing at all */
export async function foreignIn(
  reader: RepositoryReader,
  own: OwnChange,
  base: string,
  head: string,
): Promise<Foreign | undefined> {
  return foreignAmong(reader, own, await reader.changes(base, head), head);
}

/** The same for changes that are known already. */
export async function foreignAmong(
  reader: Pick<RepositoryReader, 'readFile'>,
  own: OwnChange,
  { since, files, more }: Changes,
  head: string,
): Promise<Foreign | undefined> {
  const foreign = files.filter(({ path }) => path !== own.path).map(described);
  const file = files.find(({ path }) => path === own.path);
  if (since === undefined) return { files: [], more: true };
  if (file !== undefined && (file.before !== file.after || !isPlainFile(file))) foreign.unshift(described(file));
  else if (file !== undefined && !(await isMade(reader, own, since, head))) foreign.unshift(`${file.path} (beside the image)`);
  return foreign.length === 0 && !more ? undefined : { files: foreign, more };
}

function isPlainFile({ after }: FileChange): boolean {
  return after === '100644' || after === '100755';
}

async function isMade(reader: Pick<RepositoryReader, 'readFile'>, own: OwnChange, since: string, head: string): Promise<boolean> {
  try {
    const before = await reader.readFile(since, own.path);
    const after = await reader.readFile(head, own.path);
    return before !== undefined && after !== undefined && (await own.makes(before, after));
  } catch (error) {
    // No text any more.
    if (error instanceof Refusal && error.type === 'EditRefused') return false;
    throw error;
  }
}

function described({ path, before, after }: FileChange): string {
  return `${inert(path)} (${howChanged(before, after)})`;
}

function howChanged(before: string | undefined, after: string | undefined): string {
  if (after === undefined) return 'gone';
  if (before === undefined) return ['new', kinds[after]].filter(Boolean).join(': ');
  return before === after ? 'changed' : `mode ${before} → ${after}`;
}

const kinds: Readonly<Record<string, string | undefined>> = {
  '100755': 'a program',
  '120000': 'a symbolic link',
  '160000': 'a submodule',
};

/** Where the two branches are, for people. */
export interface ForeignBranch {
  readonly repository: string;
  readonly branch: string;
  readonly base: string;
  readonly baseCommit: string;
  readonly head: string;
  readonly path: string;
}

const mostShown = 10;
const mostInDetails = 50;

/** Names the files, and whom the commits of the branch are by, as these themselves say it. */
export async function foreignRefusal(
  reader: RepositoryReader,
  branches: ForeignBranch,
  { files, more }: Foreign,
): Promise<Refusal> {
  const { repository, branch, base, baseCommit, head, path } = branches;
  const { commits } = await reader.compare(baseCommit, head);
  const authors = [...new Set(commits.map(({ author }) => inert(author, 100)))];
  const shown = files.slice(0, mostShown);
  const rest = files.length - shown.length;
  const others = [...shown, ...(more ? ['more'] : rest > 0 ? [`${rest} more`] : [])].join(', ');
  const found = files.length === 0 ? 'what nobody can tell from the two branches' : others;
  return new Refusal(
    'BranchConflict',
    `expected ${branch} of ${repository} to bring the image in ${path} to ${base} and nothing else, found ${found}, in commits of ${authors.slice(0, mostShown).join(', ') || 'nobody'}. ` +
      'Landfall merges its own change alone: revert the others or delete the branch, then retry; or merge it by hand, then retry',
    [{ files: files.slice(0, mostInDetails), count: files.length, more, authors: authors.slice(0, mostShown) }],
  );
}
