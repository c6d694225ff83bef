import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isFullCommit } from '../../domain/commit.ts';
import type { Clone } from '../../platform/git/cache.ts';
import { type Changes, type Commit, type Comparison, type FileChange, type FilesCommit, textOf } from '../forge.ts';

/** Commits, trees and files in the clone of a remote, without a work tree. */

/** More than any person reads, and what Landfall changes are a few. */
const mostFiles = 1_000;

/** Commits named by an earlier answer of ours are missing only where the clone had to be made anew in between. */
export async function ensureCommits(clone: Clone, commits: readonly string[]): Promise<void> {
  for (const commit of commits) {
    if (!isFullCommit(commit)) throw new Error(`expected the 40 hex digits of a commit, found '${commit}'`);
    if (!(await clone.has(commit))) await clone.fetch(commit);
  }
}

/** Commits as `git log` prints them, each as the lines that the format has; the last one may be several, as of a message. */
export async function logOf(
  clone: Clone,
  format: string,
  commits: readonly string[],
  paths: readonly string[] = [],
): Promise<string[][]> {
  const printed = await clone.text(['log', '-z', '--encoding=UTF-8', `--format=${format}`, ...commits, '--', ...paths]);
  const count = format.split('%n').length;
  return printed.split('\0').flatMap((entry) => (entry === '' ? [] : [firstLines(entry, count)]));
}

/** A message may be nothing but a million line ends, each of which would be a text of its own. */
function firstLines(text: string, count: number): string[] {
  const lines: string[] = [];
  let at = 0;
  for (let end = text.indexOf('\n'); end >= 0 && lines.length < count - 1; end = text.indexOf('\n', at)) {
    lines.push(text.slice(at, end));
    at = end + 1;
  }
  return [...lines, text.slice(at)];
}

export async function compareCommits(clone: Clone, base: string, head: string): Promise<Comparison> {
  const ahead = await logOf(clone, '%H%n%an%n%B', ['--reverse', '--topo-order', `${base}..${head}`]);
  return {
    commits: ahead.map(([sha = '', author = '', message = '']) => ({ sha, author, message: message.trimEnd() })),
    behindBy: Number(await clone.text(['rev-list', '--count', `${head}..${base}`, '--'])),
  };
}

/** The newest commit of a line that changed a file, with the first line of its message. */
export async function lastChange(clone: Clone, commit: string, path: string): Promise<Commit | undefined> {
  const [newest] = await logOf(clone, '%H%n%an%n%s', ['-1', commit], [`:(literal)${path}`]);
  if (newest === undefined) return undefined;
  const [sha = '', author = '', message = ''] = newest;
  return { sha, author, message };
}

/** Every file that `head` has changed since it parted from `base`. */
export async function changesBetween(clone: Clone, base: string, head: string): Promise<Changes> {
  const [since, ...others] = (await clone.ask('merge-base', '--all', base, head))?.split('\n') ?? [];
  if (since === undefined || others.length > 0) return { files: [], more: true };
  return changesOf(clone, since, head);
}

/** Every file that differs between two commits. */
export async function changesOf(clone: Clone, since: string, head: string): Promise<Changes> {
  // A repository's own .gitmodules may ask for submodules to be passed over.
  const options = ['-r', '-z', '--raw', '--no-renames', '--ignore-submodules=none'];
  // `:100644 100755 HASH HASH M`, and the path, by turns
  const printed = await clone.text(['diff-tree', ...options, since, head, '--']);
  const fields = printed.split('\0', 2 * (mostFiles + 1));
  const files = fields.flatMap((path, index) => (index % 2 === 0 ? [] : [fileChange(fields[index - 1] ?? '', path)]));
  return { since, files: files.slice(0, mostFiles), more: files.length > mostFiles };
}

function fileChange(entry: string, path: string): FileChange {
  const [before = '', after = ''] = entry.slice(1).split(' ');
  return { path, ...(before !== nothing && { before }), ...(after !== nothing && { after }) };
}

/** The mode of what is not there. */
const nothing = '000000';

async function treeEntry(clone: Clone, commit: string, path: string) {
  // ls-tree would find `./a` and `b/../a`, under which nothing can be written.
  if (path.split('/').some((component) => ['', '.', '..'].includes(component))) return undefined;
  const listed = await clone.text(['ls-tree', '-z', '--full-tree', commit, '--', path]);
  const [mode = '', type = '', object = ''] = listed.split('\t', 1)[0]?.split(' ') ?? [];
  return type === '' ? undefined : { mode, type, object };
}

export async function readText(clone: Clone, commit: string, path: string): Promise<string | undefined> {
  const entry = await treeEntry(clone, commit, path);
  if (entry?.type !== 'blob') return undefined;
  const { stdout } = await clone.local(['cat-file', 'blob', entry.object]);
  return textOf(stdout, entry.mode, `${path} in ${clone.url}`);
}

/** The tree of `treeOf` with some files written; their modes stay as they were. */
export async function writeTree(clone: Clone, { treeOf, files }: FilesCommit): Promise<string> {
  const entries: string[] = [];
  for (const { path, text } of files) {
    const blob = await clone.text(['hash-object', '-w', '--stdin'], { input: text });
    const mode = (await treeEntry(clone, treeOf, path))?.mode ?? '100644';
    entries.push(`${mode} ${blob}\t${path}\0`);
  }
  const index = join(clone.folder, `landfall-index-${randomUUID()}`);
  const env = { GIT_INDEX_FILE: index };
  try {
    await clone.text(['read-tree', treeOf], { env });
    await clone.text(['update-index', '-z', '--index-info'], { env, input: entries.join('') });
    return await clone.text(['write-tree'], { env });
  } finally {
    await rm(index, { force: true });
  }
}

const name = 'Landfall';
/** `.invalid` can never belong to anybody (RFC 2606). */
const email = 'landfall@landfall.invalid';
const env = { GIT_AUTHOR_NAME: name, GIT_AUTHOR_EMAIL: email, GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email };

/** @param parents the first is the branch's own line @returns the new commit */
export async function writeCommit(
  clone: Clone,
  { tree, parents, message }: Pick<FilesCommit, 'parents' | 'message'> & { readonly tree: string },
): Promise<string> {
  return clone.text(['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-F', '-'], { input: message, env });
}
