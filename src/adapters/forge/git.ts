import { createHash, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../../domain/failures.ts';
import { BranchMoved, type Comparison, type FileCommit, type Forge } from './forge.ts';
import { type CachedRepository, createGitCache } from './git-cache.ts';
import { createGitRunner } from './git-command.ts';
import { lastLines, remoteFailure, remoteMessage } from './git-errors.ts';
import { type GitRemote, parseRemote } from './git-remote.ts';

export interface GitForgeOptions {
  /** For bare clones of the remotes: a cache that may be thrown away at any time. */
  readonly folder: string;
  /** The environment that git gets; it holds what git needs to find its configuration, credential helpers and ssh keys. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The git program; default: `git` on PATH. 2.29 or later. */
  readonly git?: string;
  /** Who commits. */
  readonly author?: { readonly name: string; readonly email: string };
}

/** `.invalid` can never belong to anybody (RFC 2606). */
const landfall = { name: 'Landfall', email: 'landfall@landfall.invalid' };

/**
 * Any git remote as a forge: https, http, ssh, or a path. The proposal is the branch itself: deleting it closes the proposal,
 * merging it into the base accepts it. There is no work tree: commits are made from objects alone.
 */
export function createGitForge({ folder, env, git = 'git', author = landfall }: GitForgeOptions): Forge {
  const cache = createGitCache(folder, createGitRunner(git, env));

  function using<Result>(repository: string, act: (clone: CachedRepository, remote: GitRemote) => Promise<Result>) {
    const remote = parseRemote(repository);
    return cache.use(remote, (clone) => act(clone, remote));
  }

  return {
    head: async (repository, branch) => using(repository, (clone, remote) => fetchHead(clone, remote, branch)),

    readFile: async (repository, commit, path) =>
      using(repository, async (clone, remote) => {
        await ensureCommits(clone, remote, [commit]);
        return readText(clone, remote, commit, path);
      }),

    compare: async (repository, base, head) =>
      using(repository, async (clone, remote) => {
        await ensureCommits(clone, remote, [base, head]);
        return compareCommits(clone, base, head);
      }),

    commitFile: async (commit) => {
      if (commit.expectedHead !== undefined && !commit.parents.includes(commit.expectedHead)) {
        throw new Error(
          `expected ${commit.expectedHead} among the parents of a commit on ${commit.branch}: a branch is never rewound`,
        );
      }
      return using(commit.repository, (clone, remote) => commitAndPush(clone, remote, commit, author));
    },

    openChange: async ({ repository, base, branch, head }) => ({
      url: `${parseRemote(repository).url}#${branch}`,
      branch,
      base,
      head,
    }),

    // Plain git has no place for them: what the checks said stands in the rollout, and nothing is proposed before they passed.
    reportChecks: async () => {},
  };
}

/** What the remote says now, with the commit and all that it reaches in the clone. */
async function fetchHead(clone: CachedRepository, remote: GitRemote, branch: string): Promise<string | undefined> {
  const commit = await remoteHead(clone, remote, branch);
  if (commit === undefined || (await clone.has(commit))) return commit;
  // Named by hash: branches `a` and `a/b` may follow one another, and some file systems know no upper case.
  const ref = `refs/landfall/${createHash('sha1').update(branch).digest('hex')}`;
  await clone.remote([...fetchArguments, remote.url, `+refs/heads/${branch}:${ref}`]);
  if (!(await clone.has(commit)))
    throw new Error(`branch ${branch} of ${remote.url} moved while we fetched it; it is looked at again`);
  return commit;
}

const fetchArguments = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules'];

async function remoteHead(clone: CachedRepository, remote: GitRemote, branch: string): Promise<string | undefined> {
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
async function ensureCommits(clone: CachedRepository, remote: GitRemote, commits: readonly string[]): Promise<void> {
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

async function treeEntry(clone: CachedRepository, commit: string, path: string): Promise<TreeEntry | undefined> {
  // ls-tree would find `./a` and `b/../a`, under which nothing can be written.
  if (path.split('/').some((component) => ['', '.', '..'].includes(component))) return undefined;
  const { stdout } = await clone.local(['ls-tree', '-z', '--full-tree', commit, '--', path]);
  const [mode = '', type = '', object = ''] = stdout.toString('utf8').split('\t', 1)[0]?.split(' ') ?? [];
  return type === '' ? undefined : { mode, type, object };
}

async function readText(clone: CachedRepository, remote: GitRemote, commit: string, path: string): Promise<string | undefined> {
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

async function compareCommits(clone: CachedRepository, base: string, head: string): Promise<Comparison> {
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

async function commitAndPush(
  clone: CachedRepository,
  remote: GitRemote,
  commit: FileCommit,
  author: NonNullable<GitForgeOptions['author']>,
): Promise<string> {
  await ensureCommits(clone, remote, [...commit.parents, commit.treeOf]);
  const tree = await writeTree(clone, commit);
  const made = await clone.local(['commit-tree', tree, ...commit.parents.flatMap((parent) => ['-p', parent]), '-F', '-'], {
    input: commit.message,
    env: {
      GIT_AUTHOR_NAME: author.name,
      GIT_AUTHOR_EMAIL: author.email,
      GIT_COMMITTER_NAME: author.name,
      GIT_COMMITTER_EMAIL: author.email,
    },
  });
  const sha = made.stdout.toString('utf8').trim();
  const rejection = await push(clone, remote, commit, sha);
  if (rejection === undefined) return sha;
  const head = await fetchHead(clone, remote, commit.branch);
  // An earlier try was cut off after the remote had taken its push.
  if (head !== undefined && (await isSameCommit(clone, head, tree, commit))) return head;
  if (head !== commit.expectedHead) throw new BranchMoved(remote.url, commit.branch);
  throw rejection;
}

/** The tree of `treeOf` with one file written; the file's mode stays as it was. */
async function writeTree(clone: CachedRepository, { treeOf, path, text }: FileCommit): Promise<string> {
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

async function isSameCommit(clone: CachedRepository, head: string, tree: string, commit: FileCommit): Promise<boolean> {
  const { stdout } = await clone.local(['log', '-1', '--encoding=UTF-8', '--format=%T%n%P%n%B', head, '--']);
  const [headTree, parents, ...message] = stdout.toString('utf8').trimEnd().split('\n');
  return headTree === tree && parents === commit.parents.join(' ') && message.join('\n').trimEnd() === commit.message.trimEnd();
}

/** The reasons of git's receive-pack that are about the moment, not about us. */
const passingReasons = [
  'failed to update ref',
  'failed to write',
  'unpacker error',
  'transaction failed to start',
  'internal server error',
];

/**
 * The lease makes the remote compare the branch with `expectedHead` and move it in one go. It allows force, but there is none in it:
 * `expectedHead` is a parent of what is pushed.
 * @returns why the remote did not take it, or undefined where it did
 */
async function push(clone: CachedRepository, remote: GitRemote, commit: FileCommit, sha: string): Promise<Error | undefined> {
  const ref = `refs/heads/${commit.branch}`;
  const lease = `--force-with-lease=${ref}:${commit.expectedHead ?? ''}`;
  const command = ['push', '--porcelain', '--no-verify', '--recurse-submodules=no', lease, remote.url, `${sha}:${ref}`];
  const result = await clone.contact(command);
  if (result.exitCode === 0) return undefined;
  // `!`, from:to, and `[rejected] (why)` or `[remote rejected] (why)`
  const rejected = /^!\t[^\t]*\t\[(remote )?rejected\] \((.*)\)$/m.exec(result.stdout.toString('utf8'));
  if (rejected === null) throw remoteFailure(remote.url, result);
  const [, byRemote, reason = ''] = rejected;
  if (byRemote === undefined || passingReasons.includes(reason)) {
    return new Error(`${remote.url} did not take branch ${commit.branch} (${reason}): ${lastLines(result.stderr)}`);
  }
  const said = remoteMessage(result.stderr);
  return new Refusal(
    'ForgeRefused',
    `${remote.url} refused branch ${commit.branch} (${reason})${said === '' ? '' : `: ${said}`}; allow Landfall to push landfall/* branches`,
  );
}
