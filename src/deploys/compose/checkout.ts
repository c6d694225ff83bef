import { relative } from 'node:path';
import { masked } from '../../domain/inert-text.ts';
import type { OtherChanges } from '../../domain/outcomes.ts';
import type { GitResult, GitRunOptions, RunGit } from '../../platform/git/command.ts';
import { lastLines, remoteFailure } from '../../platform/git/errors.ts';
import { refused } from '../kit/refusals.ts';
import type { ComposeContext } from './context.ts';

/** A work tree with a directory of a deploy in it. */
export type Checkout = ReturnType<typeof openCheckout>;

/** A checkout that can be fast-forwarded. */
export interface CheckoutUpdate extends Checkout {
  /** The commit that it has. */
  readonly head: string;
  /** The commit that the base branch has at its remote. */
  readonly target: string;
  /** Files that are as in `target` instead of `head`: an interrupted attempt left them. */
  readonly changed: readonly string[];
}

type OtherCommit = OtherChanges['commits'][number];

const fetchWithinMs = 5 * 60_000;
const shownFiles = 5;
const mostCommits = 10;
/** As git knows them: compose files, what they include, and env files. */
const readByCompose = ['yml', 'yaml', 'json', 'env', 'env.*'].map((ending) => `:(top,glob)**/*.${ending}`);
/** Short hash, author, subject, and the rollout of a commit of ours, each ended by NUL. */
const commitFormat = '--format=%h%x00%an%x00%s%x00%(trailers:key=Landfall-Rollout,valueonly,separator=%x2C)%x00';

/**
 * Fetches the base branch and checks whether the checkout can be fast-forwarded to it. Nothing in the work tree is touched.
 * @param act called while the checkout is locked; without an update where the stage has no `change`
 * @throws Refusal `DeployRefused` if it is no checkout, or cannot be fast-forwarded; `CredentialsRefused`, `ForgeRefused`, RateLimit
 */
export async function withCheckoutUpdate<Result>(
  { git, locks, target: { stage, deploy } }: ComposeContext,
  signal: AbortSignal,
  act: (update?: CheckoutUpdate) => Promise<Result>,
): Promise<Result> {
  if (stage.change === undefined) return await act();
  const { base, repository } = stage.change;
  const { directory } = deploy;
  const found = await git(['-C', directory, 'rev-parse', '--path-format=absolute', '--show-toplevel', '--git-dir']);
  const [root, gitDir] = found.stdout.toString('utf8').split('\n');
  if (found.exitCode !== 0 || !root || !gitDir) {
    // Where the directory is a mount of its own, a second line says that git looked no further.
    const [why] = lastLines(found.stderr).split('\n', 1);
    throw refused(
      `expected ${directory} in a checkout of the deployment repository, but git says: ${why}; clone ${repository} there ` +
        "as the user of the worker, or leave 'change' out of the stage",
    );
  }
  // Several stages may be deployed from one checkout.
  return await locks.hold(`checkout ${root}`, signal, async () =>
    act(await requireForward(openCheckout(git, root, gitDir, base))),
  );
}

/** @param root absolute, without symbolic links */
function openCheckout(run: RunGit, root: string, gitDir: string, base: string) {
  const own = { GIT_DIR: gitDir, GIT_WORK_TREE: root };
  const git: RunGit = async (args, options) => {
    const result = await run(args, { ...options, env: { ...own, ...options?.env }, timeoutMs: fetchWithinMs });
    // The address of a person's remote may hold a password.
    return { ...result, stderr: result.stderr.replace(/:\/\/[^/@\s']+@/g, `://${masked}@`) };
  };
  /** @throws Error if it fails */
  const read = async (args: readonly string[], options?: GitRunOptions): Promise<string> => {
    const result = await git(args, options);
    if (result.exitCode !== 0) throw new Error(`git ${result.command} failed in ${root}: ${lastLines(result.stderr)}`);
    return textOf(result);
  };
  return { root, base, git, read };
}

function textOf({ stdout }: GitResult): string {
  return stdout.toString('utf8').trim();
}

async function requireForward(checkout: Checkout): Promise<CheckoutUpdate> {
  const { base, git, read, root } = checkout;
  const onBranch = await git(['symbolic-ref', '--quiet', '--short', 'HEAD']);
  const branch = onBranch.exitCode === 0 ? textOf(onBranch) : 'no branch (a detached HEAD)';
  if (branch !== base) {
    throw refused(
      `expected the checkout ${root} on branch ${base}, found it on ${branch}: 'git switch ${base}' there, or correct change.base`,
    );
  }
  const target = await fetchBase(checkout);
  const head = await read(['rev-parse', 'HEAD']);
  const changed = await changedFiles(checkout, 'HEAD', []);
  // An attempt that was interrupted while fast-forwarding leaves files as the base has them.
  const foreign = changed.length === 0 ? [] : await changedFiles(checkout, target, changed);
  if (foreign.length > 0) {
    const more = foreign.length > shownFiles ? ` and ${foreign.length - shownFiles} more` : '';
    throw refused(
      `expected no uncommitted changes in the checkout ${root}, found some in ${foreign.slice(0, shownFiles).join(', ')}${more}: commit and push ` +
        "them, or undo them with 'git restore'",
    );
  }
  if (!(await leadsTo(checkout, head, target))) {
    throw refused(
      `expected the checkout ${root} to have nothing that ${base} does not have at its remote, but it has commits of its own (HEAD is ` +
        `${head.slice(0, 12)}, ${base} is ${target.slice(0, 12)}): push them, or put the checkout back with 'git reset --hard @{upstream}'`,
    );
  }
  return { ...checkout, head, target, changed };
}

/** Never touches changes that a person made in the checkout. The base may be ahead of what we merged. @throws Refusal `DeployRefused` */
export async function fastForward({ git, root, head, target, changed }: CheckoutUpdate): Promise<void> {
  if (head === target && changed.length === 0) return;
  const how = changed.length === 0 ? ['merge', '--ff-only'] : ['reset', '--hard'];
  const { exitCode, stderr } = await git([...how, '--quiet', target]);
  if (exitCode === 0) return;
  throw refused(`expected the checkout ${root} to go forward to ${target.slice(0, 12)}, but git says: ${lastLines(stderr)}`);
}

/** @returns the commit of the base branch at the remote */
async function fetchBase({ root, base, git, read }: Checkout): Promise<string> {
  const configured = async (key: string) => textOf(await git(['config', '--get', `branch.${base}.${key}`]));
  const remote = (await configured('remote')) || 'origin';
  const branch = (await configured('merge')) || `refs/heads/${base}`;
  const tracking = `refs/remotes/${remote}/${branch.replace(/^refs\/heads\//, '')}`;
  const options = ['--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head'];
  const result = await git(['fetch', ...options, remote, `+${branch}:${tracking}`]);
  const kind = { needs: 'read', setting: `it with 'git remote set-url'` } as const;
  if (result.exitCode !== 0) throw remoteFailure(`the remote '${remote}' of the checkout ${root}`, result, kind);
  return await read(['rev-parse', '--verify', `${tracking}^{commit}`]);
}

/** Tracked files that are not as the commit has them; of those named where any are. */
async function changedFiles({ read }: Checkout, commit: string, files: readonly string[]): Promise<string[]> {
  const options = ['--name-only', '-z', '--no-ext-diff', '--ignore-submodules'];
  const names = await read(['diff', ...options, commit, '--', ...files.map((file) => `:(top,literal)${file}`)]);
  return names.split('\0').filter((name) => name !== '');
}

/** Absolute paths of files that differ between a commit and what comes; none where that cannot be told. */
export async function filesChangedSince(update: CheckoutUpdate | undefined, commit: string | undefined): Promise<string[]> {
  if (update === undefined || commit === undefined || !(await leadsTo(update, commit, update.target))) return [];
  const names = await update.read(['diff', '--name-only', '-z', '--no-ext-diff', commit, update.target]);
  return names.split('\0').flatMap((name) => (name === '' ? [] : [`${update.root}/${name}`]));
}

/**
 * The commits from what runs to what comes that are not Landfall's own, newest first: of what Compose may read, and of these files; if
 * there are none, of anything.
 * @param files absolute
 */
export async function commitsSince(
  update: CheckoutUpdate | undefined,
  commit: string | undefined,
  files: readonly string[],
): Promise<OtherCommit[]> {
  if (update === undefined || commit === undefined || !(await leadsTo(update, commit, update.target))) return [];
  const { read, root, target } = update;
  const own = files.map((file) => `:(top,literal)${relative(root, file)}`);
  const range = ['log', '--no-merges', '--max-count=200', '--abbrev=12', commitFormat, `${commit}..${target}`];
  const found = commitsIn(await read([...range, '--', ...readByCompose, ...own]));
  const all = found.length > 0 ? found : commitsIn(await read(range));
  return all.slice(0, mostCommits);
}

function commitsIn(text: string): OtherCommit[] {
  const fields = text.split('\0').map((field) => field.replace(/^\n/, ''));
  const commits: OtherCommit[] = [];
  for (let at = 0; at + 3 < fields.length; at += 4) {
    const [commit = '', author = '', subject = '', rollout = ''] = fields.slice(at, at + 4);
    if (rollout.trim() === '') commits.push({ commit, author: author.slice(0, 80), subject: subject.slice(0, 120) });
  }
  return commits;
}

/** False for a rewritten history, or a commit that is gone: then nothing can be compared. */
async function leadsTo({ git }: Checkout, commit: string, target: string): Promise<boolean> {
  return (await git(['merge-base', '--is-ancestor', commit, target])).exitCode === 0;
}
