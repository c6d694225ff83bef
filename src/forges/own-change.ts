import { Refusal } from '../domain/failures.ts';
import { inert } from '../domain/inert-text.ts';
import type { Changes, Commit, Comparison, FileChange, OwnChange } from './forge.ts';

/** Landfall merges only the change that it has computed. It compares what a branch changes, and never trusts what commits say about themselves. */

/** Reads one repository, as a `Forge` does. */
export interface RepositoryReader {
  changes(base: string, head: string): Promise<Changes>;
  readFile(commit: string, path: string): Promise<string | undefined>;
  compare(base: string, head: string): Promise<Comparison>;
}

/** What is to be merged, and where; `repository` as people see it. */
export interface ProposedMerge {
  readonly repository: string;
  readonly branch: string;
  readonly base: string;
  readonly baseCommit: string;
  readonly head: string;
}

/**
 * What merging would bring besides a change of ours.
 * @returns undefined if it is nothing, even if our change is not there either; otherwise makes the refusal that says what it is
 */
export async function foreignIn(
  reader: RepositoryReader,
  own: OwnChange,
  range: ProposedMerge,
): Promise<(() => Promise<Refusal>) | undefined> {
  const { baseCommit, head } = range;
  const foreign = await foreignAmong(reader, own, await reader.changes(baseCommit, head), head);
  if (foreign === undefined) return undefined;
  return async () => refusalOf(range, own.paths, foreign, (await reader.compare(baseCommit, head)).commits);
}

/** `files` is for people: `evil.sh (new)`; empty if it cannot be determined. `more`: there are more, or it cannot be determined. */
interface Foreign {
  readonly files: readonly string[];
  readonly more: boolean;
}

/** The same for changes that are known already. */
export async function foreignAmong(
  reader: RepositoryReader,
  own: OwnChange,
  { since, files, more }: Changes,
  head: string,
): Promise<Foreign | undefined> {
  if (since === undefined) return { files: [], more: true };
  const foreign = files.filter(({ path }) => !own.paths.includes(path)).map(described);
  for (const file of files.filter(({ path }) => own.paths.includes(path))) {
    if (!isPlainEdit(file)) foreign.unshift(described(file));
    else if (!(await isMade(reader, own, file.path, since, head))) foreign.unshift(`${file.path} (beside the image)`);
  }
  return foreign.length === 0 && !more ? undefined : { files: foreign, more };
}

function isPlainEdit({ before, after }: FileChange): boolean {
  return before === after && (after === '100644' || after === '100755');
}

async function isMade(reader: RepositoryReader, own: OwnChange, path: string, since: string, head: string): Promise<boolean> {
  try {
    const before = await reader.readFile(since, path);
    const after = await reader.readFile(head, path);
    return before !== undefined && after !== undefined && (await own.makes(path, before, after));
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

const mostShown = 10;
const mostInDetails = 50;

/** Names the files, and whom the commits of the branch are by, as these themselves say it. */
function refusalOf(
  range: ProposedMerge,
  paths: readonly string[],
  { files, more }: Foreign,
  commits: readonly Commit[],
): Refusal {
  const { repository, branch, base } = range;
  const authors = [...new Set(commits.map(({ author }) => inert(author, 100)))].slice(0, mostShown);
  const rest = files.length - mostShown;
  const others = [...files.slice(0, mostShown), ...(more ? ['more'] : rest > 0 ? [`${rest} more`] : [])].join(', ');
  const found = files.length === 0 ? 'what nobody can tell from the two branches' : others;
  return new Refusal(
    'BranchConflict',
    `expected ${branch} of ${repository} to bring the image in ${paths.join(', ')} to ${base} and nothing else, found ${found}, in commits of ${authors.join(', ') || 'nobody'}. ` +
      'Landfall merges its own change alone: revert the others or delete the branch, then retry; or merge it by hand, then retry',
    [{ files: files.slice(0, mostInDetails), count: files.length, more, authors }],
  );
}
