import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildSource } from '../domain/build.ts';
import { isFullCommit } from '../domain/commit.ts';
import { Refusal } from '../domain/failures.ts';
import type { FetchedRemote } from '../forges/forge.ts';
import { type Clone, createGitCache } from '../platform/git/cache.ts';
import type { RunGit } from '../platform/git/command.ts';
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
  const use = createGitCache(folder, git, asSource);

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
    commitOf: ({ repository }: BuildSource, ref: string) => withCommit(repository, ref, async (_clone, commit) => commit),

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

    /** Writes the files of a commit into a folder that is not there yet. Submodules stay empty. @returns when it was made, in seconds since 1970 */
    async checkOut({ repository }: BuildSource, commit: string, into: string): Promise<number> {
      return await withCommit(repository, commit, async (clone) => {
        await mkdir(into, { recursive: true });
        const index = join(clone.folder, `landfall-index-${randomUUID()}`);
        try {
          const options = { env: { GIT_INDEX_FILE: index }, timeoutMs: 600_000 };
          await clone.local([`--work-tree=${into}`, 'checkout', '--quiet', '--force', commit, '--', '.'], options);
        } finally {
          await rm(index, { force: true });
        }
        return Number(await clone.text(['show', '--no-patch', '--format=%ct', commit]));
      });
    },
  };
}

export type Sources = ReturnType<typeof createSources>;

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
