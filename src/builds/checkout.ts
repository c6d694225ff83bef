import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildSource } from '../domain/build.ts';
import { isFullCommit } from '../domain/commit.ts';
import { Refusal } from '../domain/failures.ts';
import type { FetchedRemote } from '../forges/forge.ts';
import { type Clone, CloneBroken, createGitCache } from '../platform/git/cache.ts';
import type { GitResult, RunGit } from '../platform/git/command.ts';
import { lastLines, UnknownCommit } from '../platform/git/errors.ts';
import { asSource } from '../platform/git/remote.ts';
import { matchesFolder } from '../settings/image-pattern.ts';

export interface SourceDependencies {
  /** For bare clones: a cache that may be thrown away at any time. */
  readonly folder: string;
  readonly git: RunGit;
  /** @throws Refusal where nobody knows where it is */
  readonly remoteOf: (repository: string) => Promise<FetchedRemote>;
}

/** From the root of the repository; `''`: the root. */
interface SourceFolder {
  readonly folder: string;
  readonly hasChanged: boolean;
}

/** What a commit changed, as far as it is known: undefined, where everything may have. */
export type ChangedPaths = readonly string[] | undefined;

/** The sources of builds: commits, their folders, and their files on disk. */
export function createSources({ folder, git, remoteOf }: SourceDependencies) {
  const use = createGitCache(folder, git, asSource, [HostFailure]);

  /** @param ref a full commit, a branch or a tag; `refs/…` names one of them beyond doubt */
  async function withCommit<Result>(
    repository: string,
    ref: string,
    act: (clone: Clone, commit: string, env: FetchedRemote['env']) => Promise<Result>,
  ) {
    const { url, env } = await remoteOf(repository);
    return await use(url, async (clone) => act(clone, await fetched(clone, ref, env), env));
  }

  return {
    /** @returns the commit that a ref names @throws Refusal `BuildRefused` where there is no such ref */
    async commitOf({ repository }: BuildSource, ref: string): Promise<string> {
      try {
        return await withCommit(repository, ref, async (_clone, commit) => commit);
      } catch (error) {
        if (error instanceof UnknownCommit) throw new Refusal('BuildRefused', error.message, [], { cause: error });
        throw error;
      }
    },

    /**
     * The folders of a commit that a path with `*` means, in order, and whether something has changed there; without `*` the path itself, which
     * changes with every commit, as its image may be made of more than the folder.
     * @param before since this commit; absent, or not known: everything has
     */
    async folders({ repository, path }: BuildSource, commit: string, before?: string): Promise<SourceFolder[]> {
      if (!path.includes('*')) return [{ folder: path, hasChanged: true }];
      return await withCommit(repository, commit, async (clone) => {
        const changed = before === undefined ? undefined : await changedSince(clone, before, commit);
        const hasChanged = (folder: string) => changed?.some((file) => file === folder || file.startsWith(`${folder}/`)) ?? true;
        return (await matching(clone, commit, path)).map((folder) => ({ folder, hasChanged: hasChanged(folder) }));
      });
    },

    /**
     * Whether a commit came before another one, and is not the same. False also where nobody can tell, as the other one is not (or no more) in the
     * history of the branch.
     */
    async isBefore({ repository, branch }: BuildSource, commit: string, other: string): Promise<boolean> {
      if (!isFullCommit(other) || other === commit) return false;
      return await withCommit(repository, commit, async (clone, _commit, env) => {
        if (!(await clone.has(other))) await fetchBranch(clone, branch, env);
        return (await clone.has(other)) && (await clone.ask('merge-base', '--is-ancestor', commit, other)) !== undefined;
      });
    },

    /**
     * Writes the files of a commit into a folder that is not there yet. Submodules stay empty, and files of LFS are what git has of them.
     * @returns when it was made, in seconds since 1970
     * @throws Refusal `BuildRefused` where it has what cannot be written
     */
    async checkOut({ repository }: BuildSource, commit: string, into: string): Promise<number> {
      return await withCommit(repository, commit, async (clone) => {
        await mkdir(into, { recursive: true });
        const index = join(clone.folder, `landfall-index-${randomUUID()}`);
        try {
          await writeFiles(clone, commit, { into, index });
        } finally {
          await rm(index, { force: true });
        }
        return Number(await clone.text(['show', '--no-patch', '--format=%ct', commit]));
      });
    },
  };
}

export type Sources = ReturnType<typeof createSources>;

const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
/** What fetches them may be set up for all of git on this machine. */
const withoutLfs = ['filter.lfs.process=', 'filter.lfs.smudge=', 'filter.lfs.required=false'];
/** Any exit code is an answer. */
const anyCode = 255;

async function writeFiles(clone: Clone, commit: string, { into, index }: Readonly<Record<'into' | 'index', string>>) {
  // Of no files `.` is none that git knows.
  if ((await clone.text(['rev-parse', '--verify', `${commit}^{tree}`])) === emptyTree) return;
  const options = { env: { GIT_INDEX_FILE: index, GIT_LFS_SKIP_SMUDGE: '1' }, settings: withoutLfs, timeoutMs: 600_000 };
  const args = [`--work-tree=${into}`, 'checkout', '--quiet', '--force', commit, '--', '.'];
  const result = await clone.local(args, options, anyCode);
  if (result.exitCode !== 0) throw await checkoutFailure(clone, commit, result);
}

/** This machine cannot write files now: its disk is full, for example. It is tried again. */
class HostFailure extends Error {}

/** git does not always say why. */
const cannotWrite =
  /^(?:error: unable to write file |fatal: unable to write new index file|(?:error|fatal): .*: (?:No space left on device|Disk quota exceeded|Input\/output error|Read-only file system|Permission denied|Cannot allocate memory|Too many open files(?: in system)?)$)/m;
/** `rev-list` does not look into files. */
const cannotRead =
  /^(?:error|fatal): (?:inflate: |corrupt loose object |unable to (?:read|unpack) |(?:loose|packed) object .* is corrupt$)/m;

/** Whose fault it is: this machine's; the clone's; or that of what is in the commit. */
async function checkoutFailure(clone: Clone, commit: string, result: GitResult): Promise<Error> {
  const { exitCode, stderr } = result;
  const said = lastLines(stderr).split('\n').map(shortened).join('\n');
  if (cannotWrite.test(stderr)) return new HostFailure(`git checkout failed (exit code ${exitCode}): ${said}`);
  const options = { timeoutMs: 600_000 };
  const whole = await clone.local(['rev-list', '--objects', '--quiet', commit], options, anyCode);
  if (whole.exitCode !== 0 || cannotRead.test(stderr)) return new CloneBroken(result);
  return new Refusal('BuildRefused', `expected a commit whose files can be written here, found ${commit.slice(0, 12)}: ${said}`);
}

/** The name of a file in it may be of any length. */
function shortened(line: string): string {
  return line.length <= 300 ? line : `${line.slice(0, 150)} … ${line.slice(-145)}`;
}

async function fetched(clone: Clone, ref: string, env: FetchedRemote['env']): Promise<string> {
  if (isFullCommit(ref)) {
    if (!(await clone.has(ref))) await fetchAndKeep(clone, ref, env);
    return ref;
  }
  if (!/^[\w][\w./+-]*$/.test(ref) || ref.includes('..')) throw noSuchRef(clone, ref);
  const listed = await clone.contact(['ls-remote', clone.url, ref], env);
  if (listed.exitCode !== 0) {
    // What fetches it fails alike, and says why.
    await fetchAndKeep(clone, 'HEAD', env);
    throw new Error(`git ls-remote of ${clone.url} failed with ${listed.exitCode}; it is tried again`);
  }
  const found = new Map(
    listed.stdout
      .toString('utf8')
      .split('\n')
      .map((line) => line.split('\t').reverse() as [name: string, commit: string]),
  );
  const names = [ref, `refs/heads/${ref}`, `refs/tags/${ref}^{}`, `refs/tags/${ref}`];
  const name = names.find((each) => found.has(each));
  const commit = name && found.get(name);
  if (!commit) throw noSuchRef(clone, ref);
  if (!(await clone.has(commit))) await fetchAndKeep(clone, name.replace(/\^\{\}$/, ''), env);
  if (!(await clone.has(commit))) throw new Error(`${ref} of ${clone.url} moved while it was fetched; it is looked at again`);
  return await clone.text(['rev-parse', '--verify', `${commit}^{commit}`]);
}

/** What is on a branch now, if there is one. */
async function fetchBranch(clone: Clone, branch: string, env: FetchedRemote['env']): Promise<void> {
  try {
    await fetched(clone, `refs/heads/${branch}`, env);
  } catch (error) {
    if (!(error instanceof Refusal && error.type === 'BuildRefused')) throw error;
  }
}

/**
 * By refs of its own git tells a remote what it has, and is sent no more than what is new. Where they are follows from a hash: there are 256 at most,
 * whatever is built, and branches `a` and `a/b` may follow one another.
 */
async function fetchAndKeep(clone: Clone, what: string, env: FetchedRemote['env']): Promise<void> {
  const slot = createHash('sha256').update(what).digest('hex').slice(0, 2);
  await clone.fetch(`+${what}:refs/landfall/${slot}`, env);
}

function noSuchRef({ url }: Clone, ref: string): Refusal {
  return new Refusal('BuildRefused', `expected a commit (40 digits), a branch or a tag of ${url}, found none named '${ref}'`);
}

/** Folders only, of the depth that the path has. */
async function matching(clone: Clone, commit: string, path: string): Promise<string[]> {
  const wanted = path.split('/');
  const fixed = wanted.slice(
    0,
    wanted.findIndex((part) => part.includes('*')),
  );
  const under = fixed.length === 0 ? [] : ['--', `${fixed.join('/')}/`];
  const listed = await clone.text(['ls-tree', '-z', '-r', '-d', '--name-only', '--full-tree', commit, ...under]);
  return listed.split('\0').filter((folder) => matchesFolder(path, folder));
}

/** Undefined where the earlier commit is not known, as after a branch was made or rewritten. */
async function changedSince(clone: Clone, before: string, commit: string): Promise<ChangedPaths> {
  if (!isFullCommit(before) || !(await clone.has(before))) return undefined;
  const printed = await clone.text(['diff-tree', '-r', '-z', '--name-only', '--no-renames', before, commit, '--']);
  return printed.split('\0').filter((name) => name !== '');
}
