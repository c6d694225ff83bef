import type { ChangePlan } from '../../../domain/plan.ts';
import type { GitResult, RunGit } from '../../forge/git-command.ts';
import { lastLines, remoteFailure } from '../../forge/git-errors.ts';
import type { HostLock } from '../host-lock.ts';
import { refused } from './refusals.ts';

/** A work tree with a directory of a deploy in it. */
interface Checkout {
  readonly root: string;
  readonly base: string;
  git(args: readonly string[]): Promise<GitResult>;
  /** @throws Error where it fails */
  read(args: readonly string[]): Promise<string>;
}

const fetchWithinMs = 5 * 60_000;
const shownFiles = 5;

/**
 * Brings the checkout that a directory is in to where its base branch is at its remote, and only forward: whatever a person has there is
 * never touched. The base may be ahead of what we merged.
 * @returns the commit that is there now
 * @throws Refusal `DeployRefused` where it is no checkout, or not one that can simply go forward; `CredentialsRefused`, `ForgeRefused`,
 *   RateLimit
 */
export async function updateCheckout(
  run: RunGit,
  locks: HostLock,
  directory: string,
  { base, repository }: Pick<ChangePlan, 'base' | 'repository'>,
  signal: AbortSignal,
): Promise<string> {
  const { root, gitDir } = await findWorkTree(run, directory, repository);
  // Several stages may be deployed from one checkout.
  return await locks.hold(`checkout ${root}`, signal, async () => {
    const env = { GIT_DIR: gitDir, GIT_WORK_TREE: root };
    const git: Checkout['git'] = async (args) => withoutCredentials(await run(args, { env, timeoutMs: fetchWithinMs }));
    const read: Checkout['read'] = async (args) => {
      const result = await git(args);
      if (result.exitCode !== 0) throw new Error(`git ${result.command} failed in ${root}: ${lastLines(result.stderr)}`);
      return result.stdout.toString('utf8').trim();
    };
    return await goForward({ root, base, git, read });
  });
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

async function goForward(checkout: Checkout): Promise<string> {
  const { base, git, read, root } = checkout;
  await requireBranch(checkout);
  const target = await fetchBase(checkout);
  const head = await read(['rev-parse', 'HEAD']);
  const changed = await changedFiles(checkout, 'HEAD', []);
  // A try that was cut off in the middle of going forward leaves files as the base has them.
  const foreign = changed.length === 0 ? [] : await changedFiles(checkout, target, changed);
  if (foreign.length > 0) throw dirty(root, foreign);
  if (head === target && changed.length === 0) return head;
  const isBehind = await git(['merge-base', '--is-ancestor', head, target]);
  if (isBehind.exitCode !== 0) {
    throw refused(
      `expected the checkout ${root} to have nothing that ${base} does not have at its remote, but it has commits of its own (HEAD is ` +
        `${head.slice(0, 12)}, ${base} is ${target.slice(0, 12)}): push them, or put the checkout back with 'git reset --hard @{upstream}'`,
    );
  }
  const moved = await git(
    changed.length === 0 ? ['merge', '--ff-only', '--quiet', target] : ['reset', '--hard', '--quiet', target],
  );
  if (moved.exitCode !== 0) {
    throw refused(
      `expected the checkout ${root} to go forward to ${target.slice(0, 12)}, but git says: ${lastLines(moved.stderr)}`,
    );
  }
  return target;
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
  return { ...result, stderr: result.stderr.replace(/:\/\/[^/@\s']+@/g, '://***@') };
}
