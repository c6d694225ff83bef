import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { type GitResult, type GitRunOptions, GitTimeout, type RunGit } from '../../platform/git/command.ts';
import { lastLines, remoteFailure } from '../../platform/git/errors.ts';
import type { GitRemote } from '../../platform/git/remote.ts';
import { BranchMoved } from '../forge.ts';

/** A bare clone of one remote, while nobody else in this process uses it. */
export interface CachedRepository {
  readonly folder: string;
  /** A command on the clone alone; failing means that the clone is broken. */
  local(args: readonly string[], options?: GitRunOptions): Promise<GitResult>;
  /** The same for a question: 0 and the given exit codes are answers. */
  ask(args: readonly string[], answers: readonly number[]): Promise<GitResult>;
  /** A command that talks to the remote, with any exit code. */
  contact(args: readonly string[]): Promise<GitResult>;
  /** The same, where every exit code but 0 is a failure. @throws Refusal, RateLimit, or an ordinary error */
  remote(args: readonly string[]): Promise<GitResult>;
  has(object: string): Promise<boolean>;
}

/** A command on the clone alone has failed: the clone is not what it should be. */
class CloneBroken extends Error {
  constructor({ command, exitCode, stderr }: GitResult) {
    super(`git ${command} failed in our clone (exit code ${exitCode}): ${lastLines(stderr)}`);
    this.name = 'CloneBroken';
  }
}

/** What says nothing about the clone. */
const answered = [Refusal, RateLimit, BranchMoved, GitTimeout];

/** A whole clone of a large repository over a slow line takes its time. */
const remoteTimeoutMs = 10 * 60_000;

/**
 * Bare clones of remotes in a folder, one each. They are only a cache: whatever a crash, a full disk or a curious person does to
 * one, it is thrown away and fetched again.
 */
export function createGitCache(folder: string, run: RunGit) {
  const tails = new Map<string, Promise<void>>();
  const clones = new Map<string, Clone>();

  async function use<Result>(remote: GitRemote, act: (repository: CachedRepository) => Promise<Result>): Promise<Result> {
    const before = tails.get(remote.key) ?? Promise.resolve();
    const result = before.then(() => perform(remote, act));
    const tail = result.then(ended, ended);
    tails.set(remote.key, tail);
    void tail.then(() => tails.get(remote.key) === tail && tails.delete(remote.key));
    return result;
  }

  async function perform<Result>(remote: GitRemote, act: (repository: CachedRepository) => Promise<Result>): Promise<Result> {
    const known = clones.get(remote.key);
    const clone = known ?? createClone(folder, remote, run);
    clones.set(remote.key, clone);
    await clone.prepare();
    try {
      return await act(clone.repository);
    } catch (error) {
      if (!(await clone.isToBlame(error))) throw error;
      await clone.discard();
      await clone.prepare();
      return await act(clone.repository);
    }
  }

  return { use };
}

/** The one who asked sees how it went; the next one only waits for the end. */
function ended(): void {}

interface Clone {
  readonly repository: CachedRepository;
  /** Makes the clone if there is none, and clears away what a killed git left in it. */
  prepare(): Promise<void>;
  isToBlame(error: unknown): Promise<boolean>;
  discard(): Promise<void>;
}

function createClone(parent: string, remote: GitRemote, run: RunGit): Clone {
  const folder = join(parent, `${remote.key}.git`);
  // A lock file is held for milliseconds. One from before this process began, or from before we killed a git of ours, is nobody's.
  let lockedUntil: number | undefined = performance.timeOrigin;

  async function contact(args: readonly string[]): Promise<GitResult> {
    try {
      return await run([`--git-dir=${folder}`, ...args], { timeoutMs: remoteTimeoutMs });
    } catch (error) {
      if (error instanceof GitTimeout && error.killed) lockedUntil = Date.now();
      throw error;
    }
  }

  const repository: CachedRepository = {
    folder,
    contact,
    async local(args, options) {
      const result = await run([`--git-dir=${folder}`, ...args], options);
      if (result.exitCode !== 0) throw new CloneBroken(result);
      return result;
    },
    async ask(args, answers) {
      const result = await run([`--git-dir=${folder}`, ...args]);
      if (![0, ...answers].includes(result.exitCode)) throw new CloneBroken(result);
      return result;
    },
    async remote(args) {
      const result = await contact(args);
      if (result.exitCode !== 0) throw remoteFailure(remote.url, result);
      return result;
    },
    async has(object) {
      const result = await run([`--git-dir=${folder}`, 'cat-file', '-e', object]);
      // 1: no such object. Anything else is about the clone.
      if (result.exitCode > 1) throw new CloneBroken(result);
      return result.exitCode === 0;
    },
  };

  return {
    repository,
    async prepare() {
      if (lockedUntil !== undefined) await clearLeftovers(parent, remote.key, lockedUntil);
      lockedUntil = undefined;
      if (!(await exists(folder))) await makeClone(parent, remote.key, run);
    },
    async isToBlame(error) {
      if (error instanceof CloneBroken) return true;
      if (answered.some((kind) => error instanceof kind)) return false;
      // A fetch or push that fails for no known reason: perhaps it stumbled over a commit or tree that is missing here.
      const check = await run([`--git-dir=${folder}`, 'rev-list', '--objects', '--all', '--quiet']);
      return check.exitCode !== 0;
    },
    discard: () => remove(folder),
  };
}

/** Made under another name and put in place at once, so that there is never half a clone. */
async function makeClone(parent: string, key: string, run: RunGit): Promise<void> {
  await mkdir(parent, { recursive: true });
  const unfinished = join(parent, `${key}.new-${randomUUID()}`);
  try {
    const result = await run(['init', '--quiet', '--bare', '--template=', '--object-format=sha1', unfinished]);
    if (result.exitCode !== 0) throw new Error(`could not make a clone in ${parent}: ${lastLines(result.stderr)}`);
    await rename(unfinished, join(parent, `${key}.git`));
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    // Another worker with the same folder was faster: its clone is as good.
    if (!isErrorCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
  }
}

/** Lock files, indexes and unfinished clones of a process that was killed before a given time. */
async function clearLeftovers(parent: string, key: string, before: number): Promise<void> {
  if (!(await exists(parent))) return;
  const clones = (await readdir(parent)).filter((name) => name.startsWith(`${key}.`));
  for (const name of clones) {
    const path = join(parent, name);
    if (name !== `${key}.git`) await removeOlder(path, before);
    else for (const leftover of await leftoversIn(path)) await removeOlder(join(path, leftover), before);
  }
}

async function leftoversIn(clone: string): Promise<string[]> {
  const names = await readdir(clone, { recursive: true });
  return names.filter((name) => name.endsWith('.lock') || name.startsWith('landfall-index-'));
}

async function removeOlder(path: string, before: number): Promise<void> {
  if (await exists(path, before)) await rm(path, { recursive: true, force: true });
}

/** Renamed first, so that a crash in between leaves no half of it in place. */
async function remove(folder: string): Promise<void> {
  const aside = folder.replace(/\.git$/, `.old-${randomUUID()}`);
  try {
    await rename(folder, aside);
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return;
    throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

async function exists(path: string, before = Number.POSITIVE_INFINITY): Promise<boolean> {
  try {
    return (await stat(path)).mtimeMs < before;
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return false;
    throw error;
  }
}

function isErrorCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.some((code) => code === codeOf(error));
}
