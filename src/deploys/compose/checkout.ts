import { masked } from '../../domain/inert-text.ts';
import type { ChangePlan } from '../../domain/plan.ts';
import type { HostLock } from '../../platform/files/host-lock.ts';
import type { GitResult, GitRunOptions, RunGit } from '../../platform/git/command.ts';
import { lastLines, remoteFailure } from '../../platform/git/errors.ts';
import { refused } from './refusals.ts';

/** A work tree with a directory of a deploy in it. */
export interface Checkout {
  /** Absolute, without symbolic links. */
  readonly root: string;
  readonly base: string;
  git(args: readonly string[], options?: GitRunOptions): Promise<GitResult>;
  /** @throws Error if it fails */
  read(args: readonly string[], options?: GitRunOptions): Promise<string>;
}

/** A checkout that can be fast-forwarded. */
export interface CheckoutUpdate {
  readonly checkout: Checkout;
  /** The commit that it has. */
  readonly head: string;
  /** The commit that the base branch has at its remote. */
  readonly target: string;
  /** Files that are as in `target` instead of `head`: an interrupted attempt left them. */
  readonly changed: readonly string[];
}

const fetchWithinMs = 5 * 60_000;
const shownFiles = 5;

/**
 * Fetches the base branch and checks whether the checkout can be fast-forwarded to it. Nothing in the work tree is touched.
 * @param act called while the checkout is locked
 * @throws Refusal `DeployRefused` if it is no checkout, or cannot be fast-forwarded; `CredentialsRefused`, `ForgeRefused`,
 *   RateLimit
 */
export async function withCheckoutUpdate<Result>(
  run: RunGit,
  locks: HostLock,
  directory: string,
  { base, repository }: Pick<ChangePlan, 'base' | 'repository'>,
  signal: AbortSignal,
  act: (update: CheckoutUpdate) => Promise<Result>,
): Promise<Result> {
  const { root, gitDir } = await findWorkTree(run, directory, repository);
  // Several stages may be deployed from one checkout.
  return await locks.hold(`checkout ${root}`, signal, async () => {
    const checkout = openCheckout(run, root, gitDir, base);
    return await act(await requireForward(checkout));
  });
}

function openCheckout(run: RunGit, root: string, gitDir: string, base: string): Checkout {
  const own = { GIT_DIR: gitDir, GIT_WORK_TREE: root };
  const git: Checkout['git'] = async (args, options) =>
    withoutCredentials(await run(args, { ...options, env: { ...own, ...options?.env }, timeoutMs: fetchWithinMs }));
  const read: Checkout['read'] = async (args, options) => {
    const result = await git(args, options);
    if (result.exitCode !== 0) throw new Error(`git ${result.command} failed in ${root}: ${lastLines(result.stderr)}`);
    return result.stdout.toString('utf8').trim();
  };
  return { root, base, git, read };
}

async function findWorkTree(run: RunGit, directory: string, repository: string): Promise<{ root: string; gitDir: string }> {
  const found = await run(['-C', directory, 'rev-parse', '--path-format=absolute', '--show-toplevel', '--git-dir']);
  const [root, gitDir] = found.stdout.toString('utf8').split('\n');
  if (found.exitCode === 0 && root && gitDir) return { root, gitDir };
  throw refused(
    `expected ${directory} in a checkout of the deployment repository, but git says: ${lastLines(found.stderr)}; clone ${repository} there ` +
      "as the user of the worker, or leave 'change' out of the stage",
  );
}

async function requireForward(checkout: Checkout): Promise<CheckoutUpdate> {
  const { base, git, read, root } = checkout;
  await requireBranch(checkout);
  const target = await fetchBase(checkout);
  const head = await read(['rev-parse', 'HEAD']);
  const changed = await changedFiles(checkout, 'HEAD', []);
  // An attempt that was interrupted while fast-forwarding leaves files as the base has them.
  const foreign = changed.length === 0 ? [] : await changedFiles(checkout, target, changed);
  if (foreign.length > 0) throw dirty(root, foreign);
  const isBehind = await git(['merge-base', '--is-ancestor', head, target]);
  if (isBehind.exitCode !== 0) {
    throw refused(
      `expected the checkout ${root} to have nothing that ${base} does not have at its remote, but it has commits of its own (HEAD is ` +
        `${head.slice(0, 12)}, ${base} is ${target.slice(0, 12)}): push them, or put the checkout back with 'git reset --hard @{upstream}'`,
    );
  }
  return { checkout, head, target, changed };
}

/**
 * Fast-forwards the checkout to its base branch at the remote. Changes that a person made there are never touched. The base may be ahead of
 * what we merged.
 * @throws Refusal `DeployRefused`
 */
export async function fastForward({ checkout: { git, root }, head, target, changed }: CheckoutUpdate): Promise<void> {
  if (head === target && changed.length === 0) return;
  const moved = await git(
    changed.length === 0 ? ['merge', '--ff-only', '--quiet', target] : ['reset', '--hard', '--quiet', target],
  );
  if (moved.exitCode !== 0) {
    throw refused(
      `expected the checkout ${root} to go forward to ${target.slice(0, 12)}, but git says: ${lastLines(moved.stderr)}`,
    );
  }
}

async function requireBranch({ root, base, git }: Checkout): Promise<void> {
  const { exitCode, stdout } = await git(['symbolic-ref', '--quiet', '--short', 'HEAD']);
  const branch = exitCode === 0 ? stdout.toString('utf8').trim() : undefined;
  if (branch === base) return;
  throw refused(
    `expected the checkout ${root} on branch ${base}, found it on ${branch ?? 'no branch (a detached HEAD)'}: 'git switch ${base}' there, ` +
      'or correct change.base',
  );
}

/** @returns the commit of the base branch at the remote */
async function fetchBase({ root, base, git, read }: Checkout): Promise<string> {
  const configured = async (key: string) =>
    (await git(['config', '--get', `branch.${base}.${key}`])).stdout.toString('utf8').trim();
  const remote = (await configured('remote')) || 'origin';
  const branch = (await configured('merge')) || `refs/heads/${base}`;
  const tracking = `refs/remotes/${remote}/${branch.replace(/^refs\/heads\//, '')}`;
  const options = ['--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head'];
  const result = await git(['fetch', ...options, remote, `+${branch}:${tracking}`]);
  if (result.exitCode !== 0) throw remoteFailure(`the remote '${remote}' of the checkout ${root}`, result);
  return await read(['rev-parse', '--verify', `${tracking}^{commit}`]);
}

/** Tracked files that are not as the commit has them; of those named where any are. */
async function changedFiles({ read }: Checkout, commit: string, files: readonly string[]): Promise<string[]> {
  const names = await read([
    'diff',
    '--name-only',
    '-z',
    '--no-ext-diff',
    '--ignore-submodules',
    commit,
    '--',
    ...files.map((file) => `:(top,literal)${file}`),
  ]);
  return names.split('\0').filter((name) => name !== '');
}

function dirty(root: string, files: readonly string[]) {
  const more = files.length > shownFiles ? ` and ${files.length - shownFiles} more` : '';
  return refused(
    `expected no uncommitted changes in the checkout ${root}, found some in ${files.slice(0, shownFiles).join(', ')}${more}: commit and push ` +
      "them, or undo them with 'git restore'",
  );
}

/** The address of a person's remote may hold a password. */
function withoutCredentials(result: GitResult): GitResult {
  return { ...result, stderr: result.stderr.replace(/:\/\/[^/@\s']+@/g, `://${masked}@`) };
}
