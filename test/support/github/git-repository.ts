import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Person {
  readonly name: string;
  readonly email: string;
  /** ISO 8601. */
  readonly date: string;
}

export interface Commit {
  readonly sha: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Person;
  readonly committer: Person;
  readonly message: string;
}

export interface TreeEntry {
  /** `100644`, `100755`, `040000` (a folder), `120000` (a symbolic link), `160000` (a submodule). */
  readonly mode: string;
  readonly type: string;
  readonly sha: string;
  readonly path: string;
  /** Bytes; of blobs only. */
  readonly size?: number;
}

/** Git refused; `code` is its exit code. */
export class GitError extends Error {
  readonly code: number;
  constructor(code: number, args: readonly string[], stderr: string) {
    super(`git ${args.join(' ')} ended with ${code}: ${stderr.trim()}`);
    this.name = 'GitError';
    this.code = code;
  }
}

const commitFormat = ['%H', '%T', '%P', '%an', '%ae', '%aI', '%cn', '%ce', '%cI', '%B'].join('%x00');

/** A real bare git repository, by git's own plumbing: it can be cloned, and diffed, by anyone who has its folder. */
export class GitRepository {
  readonly folder: string;
  /** What git said about commits, trees and blobs that were named by their whole ids: it never changes. */
  readonly #known = new Map<string, Promise<Buffer>>();
  #lookUps: LookUps | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(folder: string, defaultBranch: string): Promise<GitRepository> {
    const repository = new GitRepository(folder);
    await runGit(['init', '--quiet', '--bare', `--initial-branch=${defaultBranch}`, folder]);
    return repository;
  }

  /** What git prints. @throws GitError */
  async git(args: readonly string[], options: { input?: string | Buffer; env?: Record<string, string> } = {}): Promise<string> {
    return (await this.#bytes(args, options)).toString('utf8');
  }

  #bytes(args: readonly string[], options: { input?: string | Buffer; env?: Record<string, string> } = {}): Promise<Buffer> {
    return runGit(['--git-dir', this.folder, ...args], options);
  }

  /** The same, asked once where every revision in `args` is a whole id. */
  #lasting(args: readonly string[]): Promise<Buffer> {
    if (!args.slice(1).every((word) => lasting.test(word))) return this.#bytes(args);
    const key = args.join(' ');
    const known = this.#known.get(key) ?? this.#bytes(args);
    this.#known.set(key, known);
    // An object that is missing now may be pushed later.
    known.catch((error: unknown) => {
      if (!(error instanceof GitError && error.code === 1)) this.#known.delete(key);
    });
    return known;
  }

  /** What git prints, or undefined where it says no (exit code 1 or 128). */
  async #maybe(args: readonly string[]): Promise<string | undefined> {
    try {
      return (await this.#lasting(args)).toString('utf8');
    } catch (error) {
      if (error instanceof GitError && (error.code === 1 || error.code === 128)) return undefined;
      throw error;
    }
  }

  /** The full id of what a revision names, peeled to the type; undefined where there is none. */
  async resolve(revision: string, type: 'commit' | 'tree' | 'blob'): Promise<string | undefined> {
    if (revision.includes('\n')) return undefined;
    this.#lookUps ??= new LookUps(this.folder);
    return await this.#lookUps.find(`${revision}^{${type}}`);
  }

  /** Ends what runs for it. */
  close(): void {
    this.#lookUps?.close();
    this.#lookUps = undefined;
  }

  /** All refs below a prefix such as `refs/heads/`, with the commits that they point to. */
  async refs(prefix: string): Promise<{ ref: string; sha: string }[]> {
    const lines = (await this.git(['for-each-ref', '--format=%(refname) %(objectname)', prefix])).split('\n').filter(Boolean);
    return lines.map((line) => ({ ref: line.slice(0, line.indexOf(' ')), sha: line.slice(line.indexOf(' ') + 1) }));
  }

  branchHead(branch: string): Promise<string | undefined> {
    return this.resolve(`refs/heads/${branch}`, 'commit');
  }

  /** @param from where the ref must be now; 40 zeros: it must not exist. @throws GitError where it is elsewhere */
  async updateRef(ref: string, to: string, from: string): Promise<void> {
    await this.git(['update-ref', ref, to, from]);
  }

  async deleteRef(ref: string): Promise<void> {
    await this.git(['update-ref', '-d', ref]);
  }

  async isAncestor(ancestor: string, of: string): Promise<boolean> {
    return (await this.#maybe(['merge-base', '--is-ancestor', ancestor, of])) !== undefined;
  }

  async mergeBase(a: string, b: string): Promise<string | undefined> {
    return (await this.#maybe(['merge-base', a, b]))?.trim();
  }

  async writeBlob(content: Buffer): Promise<string> {
    return (await this.git(['hash-object', '-w', '--stdin'], { input: content })).trim();
  }

  readBlob(sha: string): Promise<Buffer> {
    return this.#lasting(['cat-file', 'blob', sha]);
  }

  async readTree(tree: string, recursive: boolean): Promise<TreeEntry[]> {
    const listed = await this.#lasting(['ls-tree', '-z', '--long', ...(recursive ? ['-r', '-t'] : []), tree]);
    return listed
      .toString('utf8')
      .split('\0')
      .filter(Boolean)
      .map((line) => {
        const [mode = '', type = '', sha = '', size = '-'] = line.slice(0, line.indexOf('\t')).split(/ +/);
        return { mode, type, sha, path: line.slice(line.indexOf('\t') + 1), ...(size === '-' ? {} : { size: Number(size) }) };
      });
  }

  /** The entry at a path, or undefined. */
  async entry(tree: string, path: string): Promise<TreeEntry | undefined> {
    const [line] = (await this.git(['ls-tree', '-z', '--long', tree, '--', path])).split('\0');
    if (!line) return undefined;
    const [mode = '', type = '', sha = '', size = '-'] = line.slice(0, line.indexOf('\t')).split(/ +/);
    return { mode, type, sha, path, ...(size === '-' ? {} : { size: Number(size) }) };
  }

  /** A tree made of another one (or of nothing) and some entries; an entry without `sha` is removed. */
  async writeTree(
    base: string | undefined,
    entries: readonly { path: string; mode: string; sha: string | null }[],
  ): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-index-'));
    const env = { GIT_INDEX_FILE: join(folder, 'index') };
    try {
      await this.git(base === undefined ? ['read-tree', '--empty'] : ['read-tree', base], { env });
      const lines = entries.map(({ path, mode, sha }) =>
        sha === null ? `0 ${noCommit}\t${path}\0` : `${mode} ${sha}\t${path}\0`,
      );
      await this.git(['update-index', '-z', '--index-info'], { env, input: lines.join('') });
      return (await this.git(['write-tree'], { env })).trim();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** A commit object with this very message: `git commit-tree` would add a line end. */
  async writeCommit(commit: Omit<Commit, 'sha'>): Promise<string> {
    const text = [
      `tree ${commit.tree}`,
      ...commit.parents.map((parent) => `parent ${parent}`),
      `author ${signature(commit.author)}`,
      `committer ${signature(commit.committer)}`,
      '',
      commit.message,
    ].join('\n');
    return (await this.git(['hash-object', '-t', 'commit', '-w', '--stdin'], { input: text })).trim();
  }

  async readCommit(sha: string): Promise<Commit> {
    const [commit] = await this.#log(['--no-walk', sha]);
    if (commit === undefined) throw new Error(`expected a commit ${sha} in ${this.folder}`);
    return commit;
  }

  /** The commits that `head` has and `base` has not, oldest first. */
  commitsBetween(base: string, head: string): Promise<Commit[]> {
    return this.#log(['--reverse', '--topo-order', `${base}..${head}`]);
  }

  async countBetween(base: string, head: string): Promise<number> {
    return Number(await this.#lasting(['rev-list', '--count', `${base}..${head}`]));
  }

  /** Files and lines that differ between the merge base and `head`. */
  async changes(base: string, head: string): Promise<{ files: number; additions: number; deletions: number }> {
    const printed = await this.#lasting(['diff', '--numstat', `${base}...${head}`]);
    const lines = printed.toString('utf8').split('\n').filter(Boolean);
    const numbers = lines.map((line) => line.split('\t').map((field) => Number(field) || 0));
    const sum = (index: number) => numbers.reduce((total, fields) => total + (fields[index] ?? 0), 0);
    return { files: lines.length, additions: sum(0), deletions: sum(1) };
  }

  /** The tree of a merge, or undefined where the two conflict. */
  async mergeTree(base: string, head: string): Promise<string | undefined> {
    return (await this.#maybe(['merge-tree', '--write-tree', base, head]))?.split('\n')[0];
  }

  async #log(args: readonly string[]): Promise<Commit[]> {
    const text = await this.#lasting(['log', '-z', `--format=%x1e${commitFormat}`, ...args, '--']);
    return text
      .toString('utf8')
      .split('\x1e')
      .slice(1)
      .map((record) => {
        const [sha = '', tree = '', parents = '', an = '', ae = '', ad = '', cn = '', ce = '', cd = '', ...message] =
          record.split('\0');
        return {
          sha,
          tree,
          parents: parents.split(' ').filter(Boolean),
          author: { name: an, email: ae, date: new Date(ad).toISOString() },
          committer: { name: cn, email: ce, date: new Date(cd).toISOString() },
          message: message.join('').replace(/\n$/, ''),
        };
      });
  }
}

/** Options, and whole ids. */
const lasting = /^(?:-.*|blob|[0-9a-f]{40}(?:\.{2,3}[0-9a-f]{40})?)$/;

/** One git that answers question after question: to start one for each takes most of a test's time. */
class LookUps {
  readonly #git: ChildProcessWithoutNullStreams;
  readonly #waiting: ((found: string | undefined) => void)[] = [];

  constructor(folder: string) {
    this.#git = spawn('git', ['--git-dir', folder, 'cat-file', '--batch-check'], { env: plainEnvironment() });
    this.#git.unref();
    createInterface(this.#git.stdout).on('line', (line) => this.#waiting.shift()?.(/^([0-9a-f]{40}) \S+ \d+$/.exec(line)?.[1]));
  }

  /** @param revision of one line */
  find(revision: string): Promise<string | undefined> {
    return new Promise((found) => {
      this.#waiting.push(found);
      this.#git.stdin.write(`${revision}\n`);
    });
  }

  close(): void {
    this.#git.stdin.end();
  }
}

/** Where a ref is that does not exist. */
export const noCommit = '0'.repeat(40);

function signature({ name, email, date }: Person): string {
  return `${name} <${email}> ${Math.floor(Date.parse(date) / 1000)} +0000`;
}

/** Git without the settings of whoever runs the tests. */
function plainEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? '', GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
}

function runGit(
  args: readonly string[],
  options: { input?: string | Buffer; env?: Record<string, string> } = {},
): Promise<Buffer> {
  const env = { ...plainEnvironment(), ...options.env };
  return new Promise((resolve, reject) => {
    const child = execFile('git', args, { env, encoding: 'buffer', maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (typeof error.code === 'number') reject(new GitError(error.code, args, stderr.toString('utf8')));
      else reject(error);
    });
    // Git may refuse before it has read everything; its exit code tells what was wrong.
    child.stdin?.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') reject(error);
    });
    child.stdin?.end(options.input ?? '');
  });
}
