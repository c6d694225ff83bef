import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { createTurns } from '../turns.ts';
import { type GitResult, type GitRunOptions, GitTimeout, type RunGit } from './command.ts';
import { lastLines, remoteFailure, UnknownCommit } from './errors.ts';
import { type GitRemote, parseRemote, type RemoteKind } from './remote.ts';

/** A command on the clone alone has failed: the clone is not what it should be. */
export class CloneBroken extends Error {
  constructor({ command, exitCode, stderr }: GitResult) {
    super(`git ${command} failed in our clone (exit code ${exitCode}): ${lastLines(stderr)}`);
    this.name = 'CloneBroken';
  }
}

type ErrorClass = abstract new (...args: never[]) => Error;

/** What says nothing about the clone. */
const answered: readonly ErrorClass[] = [Refusal, RateLimit, GitTimeout, UnknownCommit];

/** A whole clone of a large repository over a slow line takes its time. */
const remoteTimeoutMs = 10 * 60_000;

/**
 * Bare clones of remotes in a folder, one each. They are only a cache: whatever a crash, a full disk or a curious person does to
 * one, it is thrown away and fetched again.
 * @param kind of the remotes
 * @param answers errors of whoever uses the clones that say nothing about them
 * @returns uses the clone of a remote, given by its URL or path, while nobody else in this process does
 */
export function createGitCache(folder: string, run: RunGit, kind: RemoteKind, answers: readonly ErrorClass[] = []) {
  const clones = new Map<string, Clone>();
  const inTurn = createTurns();

  return async <Result>(address: string, act: (clone: Clone) => Promise<Result>): Promise<Result> => {
    const remote = parseRemote(address, kind);
    const clone = clones.get(remote.key) ?? createClone(folder, { ...remote, kind }, run, [...answered, ...answers]);
    clones.set(remote.key, clone);
    return await inTurn(remote.key, () => perform(clone, act));
  };
}

async function perform<Result>(clone: Clone, act: (clone: Clone) => Promise<Result>): Promise<Result> {
  await clone.prepare();
  try {
    return await act(clone);
  } catch (error) {
    if (!(await clone.isToBlame(error))) throw error;
    await clone.discard();
    await clone.prepare();
    return await act(clone);
  }
}

/** A bare clone of one remote. */
export type Clone = ReturnType<typeof createClone>;

function createClone(
  parent: string,
  { key, url, kind }: GitRemote & { readonly kind: RemoteKind },
  run: RunGit,
  saysNothing: readonly ErrorClass[],
) {
  const folder = join(parent, `${key}.git`);
  // A lock file is held for milliseconds. One from before this process began, or from before we killed a git of ours, is nobody's.
  let lockedUntil: number | undefined = performance.timeOrigin;

  /** A command on the clone alone. @throws CloneBroken for an exit code above `highest` */
  async function local(args: readonly string[], options: GitRunOptions = {}, highest = 0): Promise<GitResult> {
    const result = await run([`--git-dir=${folder}`, ...args], options);
    if (result.exitCode > highest) throw new CloneBroken(result);
    return result;
  }

  /** A command that talks to the remote, with any exit code. */
  async function contact(args: readonly string[], env: GitRunOptions['env'] = {}): Promise<GitResult> {
    try {
      return await run([`--git-dir=${folder}`, ...args], { timeoutMs: remoteTimeoutMs, env });
    } catch (error) {
      if (error instanceof GitTimeout && error.killed) lockedUntil = Date.now();
      throw error;
    }
  }

  /** What git says to a question, without white space around; undefined where it says no, by exit code 1. */
  async function ask(...args: readonly string[]): Promise<string | undefined> {
    const { exitCode, stdout } = await local(args, {}, 1);
    return exitCode === 0 ? stdout.toString('utf8').trim() : undefined;
  }

  return {
    folder,
    url,
    contact,
    ask,
    local,
    /** What a command on the clone prints, without white space around. */
    async text(args: readonly string[], options?: GitRunOptions): Promise<string> {
      return (await local(args, options)).stdout.toString('utf8').trim();
    },
    has: async (object: string): Promise<boolean> => (await ask('cat-file', '-e', object)) !== undefined,
    /** `what` is a commit, or a refspec. @param env with what git needs to be let in @throws Refusal, RateLimit, or an ordinary error */
    async fetch(what: string, env?: GitRunOptions['env']): Promise<void> {
      const options = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules'];
      const result = await contact(['fetch', ...options, url, what], env);
      if (result.exitCode !== 0) throw remoteFailure(url, result, kind);
    },
    /** Makes the clone if there is none, and clears away what a killed git left in it. */
    async prepare(): Promise<void> {
      await mkdir(parent, { recursive: true });
      if (lockedUntil !== undefined) await clearLeftovers(parent, key, lockedUntil);
      lockedUntil = undefined;
      if (!(await exists(folder))) await makeClone(parent, key, run);
    },
    async isToBlame(error: unknown): Promise<boolean> {
      if (error instanceof CloneBroken) return true;
      if (saysNothing.some((kind) => error instanceof kind)) return false;
      // A fetch or push that fails for no known reason: perhaps it stumbled over a commit or tree that is missing here.
      const options = { timeoutMs: remoteTimeoutMs };
      const check = await run([`--git-dir=${folder}`, 'rev-list', '--objects', '--all', '--quiet'], options);
      return check.exitCode !== 0;
    },
    /** Renamed first, so that a crash in between leaves no half of it in place. */
    async discard(): Promise<void> {
      const aside = join(parent, `${key}.old-${randomUUID()}`);
      try {
        await rename(folder, aside);
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
      await rm(aside, { recursive: true, force: true });
    },
  };
}

/** Made under another name and put in place at once, so that there is never half a clone. */
async function makeClone(parent: string, key: string, run: RunGit): Promise<void> {
  const unfinished = join(parent, `${key}.new-${randomUUID()}`);
  try {
    const result = await run(['init', '--quiet', '--bare', '--template=', '--object-format=sha1', unfinished]);
    if (result.exitCode !== 0) throw new Error(`could not make a clone in ${parent}: ${lastLines(result.stderr)}`);
    await rename(unfinished, join(parent, `${key}.git`));
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    // Another worker with the same folder was faster: its clone is as good.
    const code = codeOf(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

/** Lock files, indexes and unfinished clones of a process that was killed before a given time. */
async function clearLeftovers(parent: string, key: string, before: number): Promise<void> {
  for (const name of (await readdir(parent)).filter((name) => name.startsWith(`${key}.`))) {
    const path = join(parent, name);
    const leftovers = name === `${key}.git` ? await leftoversIn(path) : [path];
    for (const leftover of leftovers) if (await exists(leftover, before)) await rm(leftover, { recursive: true, force: true });
  }
}

async function leftoversIn(clone: string): Promise<string[]> {
  const names = (await readdir(clone, { recursive: true })).filter(
    (name) => name.endsWith('.lock') || name.startsWith('landfall-index-'),
  );
  return names.map((name) => join(clone, name));
}

async function exists(path: string, before = Number.POSITIVE_INFINITY): Promise<boolean> {
  try {
    return (await stat(path)).mtimeMs < before;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
