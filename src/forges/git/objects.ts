import { createHash, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../../domain/failures.ts';
import { remoteFailure } from '../../platform/git/errors.ts';
import type { GitRemote } from '../../platform/git/remote.ts';
import type { Comparison, FileCommit } from '../forge.ts';
import type { CachedRepository } from './cache.ts';

/** Branches, commits, trees and files in the clone of a remote, without a work tree. */

export interface Author {
  readonly name: string;
  readonly email: string;
}

/** What the remote says now, with the commit and all that it reaches in the clone. */
export async function fetchHead(clone: CachedRepository, remote: GitRemote, branch: string): Promise<string | undefined> {
  const commit = await remoteHead(clone, remote, branch);
  if (commit === undefined || (await clone.has(commit))) return commit;
  // Named by hash: branches `a` and `a/b` may follow one another, and some file systems know no upper case.
  const ref = `refs/landfall/${createHash('sha1').update(branch).digest('hex')}`;
  await clone.remote([...fetchArguments, remote.url, `+refs/heads/${branch}:${ref}`]);
  if (!(await clone.has(commit)))
    throw new Error(`branch ${branch} of ${remote.url} moved while we fetched it; it is looked at again`);
  return commit;
}

export const fetchArguments = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules'];

export async function remoteHead(clone: CachedRepository, remote: GitRemote, branch: string): Promise<string | undefined> {
  const ref = `refs/heads/${branch}`;
  const result = await clone.contact(['ls-remote', '--exit-code', remote.url, ref]);
  // 2: the remote answered, and has no such ref.
  if (result.exitCode === 2) return undefined;
  if (result.exitCode !== 0) throw remoteFailure(remote.url, result);
  const lines = result.stdout.toString('utf8').split('\n');
  // ls-remote matches the end of names, so `refs/x/refs/heads/main` is listed too.
  return lines.map((line) => line.split('\t')).find(([, name]) => name === ref)?.[0];
}

/** Commits named by an earlier answer of ours are missing only where the clone had to be made anew in between. */
export async function ensureCommits(clone: CachedRepository, remote: GitRemote, commits: readonly string[]): Promise<void> {
  for (const commit of commits) {
    if (!/^[0-9a-f]{40}$/.test(commit)) throw new Error(`expected the 40 hex digits of a commit, found '${commit}'`);
    if (!(await clone.has(commit))) await clone.remote([...fetchArguments, remote.url, commit]);
  }
}

interface TreeEntry {
  readonly mode: string;
  readonly type: string;
  readonly object: string;
}

export async function treeEntry(clone: CachedRepository, commit: string, path: string): Promise<TreeEntry | undefined> {
  // ls-tree would find `./a` and `b/../a`, under which nothing can be written.
  if (path.split('/').some((component) => ['', '.', '..'].includes(component))) return undefined;
  const { stdout } = await clone.local(['ls-tree', '-z', '--full-tree', commit, '--', path]);
  const [mode = '', type = '', object = ''] = stdout.toString('utf8').split('\t', 1)[0]?.split(' ') ?? [];
  return type === '' ? undefined : { mode, type, object };
}

export async function readText(
  clone: CachedRepository,
  remote: GitRemote,
  commit: string,
  path: string,
): Promise<string | undefined> {
  const entry = await treeEntry(clone, commit, path);
  if (entry?.type !== 'blob') return undefined;
  const { stdout } = await clone.local(['cat-file', 'blob', entry.object]);
  if (entry.mode === '120000') {
    const target = stdout.toString('utf8').slice(0, 200);
    throw new Refusal('EditRefused', `${path} in ${remote.url} is a symbolic link to ${target}: name that file in change.file`);
  }
  try {
    // A byte order mark is a part of the file, too.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(stdout);
  } catch (cause) {
    throw new Refusal('EditRefused', `${path} in ${remote.url} is not UTF-8 text: save it as UTF-8`, [], { cause });
  }
}

export async function compareCommits(clone: CachedRepository, base: string, head: string): Promise<Comparison> {
  const format = '--format=%H%n%an%n%B';
  const log = await clone.local(['log', '-z', '--reverse', '--topo-order', '--encoding=UTF-8', format, `${base}..${head}`, '--']);
  const behind = await clone.local(['rev-list', '--count', `${head}..${base}`, '--']);
  const commits = log.stdout
    .toString('utf8')
    .split('\0')
    .filter((text) => text !== '')
    .map((text) => {
      const [sha = '', author = '', ...message] = text.split('\n');
      return { sha, author, message: message.join('\n').trimEnd() };
    });
  return { commits, behindBy: Number(behind.stdout.toString('utf8')) };
}

/** The tree of `treeOf` with one file written; the file's mode stays as it was. */
export async function writeTree(clone: CachedRepository, { treeOf, path, text }: FileCommit): Promise<string> {
  const blob = (await clone.local(['hash-object', '-w', '--stdin'], { input: text })).stdout.toString('utf8').trim();
  const mode = (await treeEntry(clone, treeOf, path))?.mode ?? '100644';
  const index = join(clone.folder, `landfall-index-${randomUUID()}`);
  const env = { GIT_INDEX_FILE: index };
  try {
    await clone.local(['read-tree', treeOf], { env });
    await clone.local(['update-index', '-z', '--index-info'], { env, input: `${mode} ${blob}\t${path}\0` });
    return (await clone.local(['write-tree'], { env })).stdout.toString('utf8').trim();
  } finally {
    await rm(index, { force: true });
  }
}

/** @param parents the first is the branch's own line @returns the new commit */
export async function writeCommit(
  clone: CachedRepository,
  author: Author,
  { tree, parents, message }: { readonly tree: string; readonly parents: readonly string[]; readonly message: string },
): Promise<string> {
  const made = await clone.local(['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-F', '-'], {
    input: message,
    env: {
      GIT_AUTHOR_NAME: author.name,
      GIT_AUTHOR_EMAIL: author.email,
      GIT_COMMITTER_NAME: author.name,
      GIT_COMMITTER_EMAIL: author.email,
    },
  });
  return made.stdout.toString('utf8').trim();
}

/** The newest commit of a line that changed a file, with the first line of its message. */
export async function lastChange(
  clone: CachedRepository,
  commit: string,
  path: string,
): Promise<{ sha: string; author: string; message: string } | undefined> {
  const { stdout } = await clone.local([
    'log',
    '-1',
    '--encoding=UTF-8',
    '--format=%H%n%an%n%s',
    commit,
    '--',
    `:(literal)${path}`,
  ]);
  const [sha = '', author = '', message = ''] = stdout.toString('utf8').trimEnd().split('\n');
  return sha === '' ? undefined : { sha, author, message };
}
