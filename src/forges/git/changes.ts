import type { Changes, FileChange } from '../forge.ts';
import type { CachedRepository } from './cache.ts';

/** More than any person reads, and what Landfall changes is one. */
const mostFiles = 1_000;

/** Every file that `head` has changed since it parted from `base`. */
export async function changesBetween(clone: CachedRepository, base: string, head: string): Promise<Changes> {
  const { stdout } = await clone.ask(['merge-base', '--all', base, head], [1]);
  const [since, another] = stdout.toString('utf8').split('\n').filter(Boolean);
  if (since === undefined || another !== undefined) return { files: [], more: true };
  return changesOf(clone, since, head);
}

/** Every file that differs between two commits. */
export async function changesOf(clone: CachedRepository, since: string, head: string): Promise<Changes> {
  // A repository's own .gitmodules may ask for submodules to be passed over.
  const compare = ['diff-tree', '-r', '-z', '--raw', '--no-renames', '--ignore-submodules=none', since, head, '--'];
  const { stdout } = await clone.local(compare);
  // `:100644 100755 HASH HASH M`, and the path, by turns
  const fields = stdout.toString('utf8').split('\0');
  const files = fields.flatMap((path, index) => (index % 2 === 0 ? [] : [fileChange(fields[index - 1] ?? '', path)]));
  return { since, files: files.slice(0, mostFiles), more: files.length > mostFiles };
}

function fileChange(entry: string, path: string): FileChange {
  const [before = '', after = ''] = entry.slice(1).split(' ');
  return { path, ...(before !== nothing && { before }), ...(after !== nothing && { after }) };
}

/** The mode of what is not there. */
const nothing = '000000';
