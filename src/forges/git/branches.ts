import { createHash } from 'node:crypto';
import { type Diagnosed, fine } from '../../domain/diagnosis.ts';
import { Refusal } from '../../domain/failures.ts';
import type { Clone } from '../../platform/git/cache.ts';
import { lastLines, remoteFailure, remoteMessage } from '../../platform/git/errors.ts';
import { asDeployment } from '../../platform/git/remote.ts';
import { BranchMoved, type FilesCommit } from '../forge.ts';
import { ensureCommits, logOf, writeCommit, writeTree } from './objects.ts';

/** Branches of a remote: where they are, and how Landfall moves them. */

/** What the remote says now, with the commit and all that it reaches in the clone. */
export async function fetchHead(clone: Clone, branch: string): Promise<string | undefined> {
  const commit = await remoteHead(clone, branch);
  if (commit === undefined || (await clone.has(commit))) return commit;
  // Named by hash: branches `a` and `a/b` may follow one another, and some file systems know no upper case.
  await clone.fetch(`+refs/heads/${branch}:refs/landfall/${createHash('sha1').update(branch).digest('hex')}`);
  if (await clone.has(commit)) return commit;
  throw new Error(`branch ${branch} of ${clone.url} moved while we fetched it; it is looked at again`);
}

async function remoteHead({ contact, url }: Clone, branch: string): Promise<string | undefined> {
  const ref = `refs/heads/${branch}`;
  const result = await contact(['ls-remote', '--exit-code', url, ref]);
  // 2: the remote answered, and has no such ref.
  if (result.exitCode === 2) return undefined;
  if (result.exitCode !== 0) throw remoteFailure(url, result, asDeployment);
  const lines = result.stdout.toString('utf8').split('\n');
  // ls-remote matches the end of names, so `refs/x/refs/heads/main` is listed too.
  return lines.map((line) => line.split('\t')).find(([, name]) => name === ref)?.[0];
}

/** Asks the remote to take a branch, and takes it back before it is sent. @throws Refusal where the remote takes nothing from us */
export async function mayPush({ contact, url }: Clone): Promise<Diagnosed> {
  // Deleting a branch that nobody has needs no commit, and nothing is sent.
  const result = await contact(['push', '--dry-run', '--porcelain', '--no-verify', url, ':refs/heads/landfall/no-such-branch']);
  // What it says of the branch itself is that there is none.
  const isAnswer =
    result.exitCode === 0 || /remote ref does not exist|unable to delete/i.test(`${result.stdout}${result.stderr}`);
  if (!isAnswer) throw remoteFailure(url, result, asDeployment);
  return fine('it can be read, and lets us begin to push');
}

export async function commitFiles(clone: Clone, commit: FilesCommit): Promise<string> {
  const { branch, expectedHead, parents, treeOf } = commit;
  if (expectedHead !== undefined && !parents.includes(expectedHead)) {
    throw new Error(`expected ${expectedHead} among the parents of a commit on ${branch}: a branch is never rewound`);
  }
  await ensureCommits(clone, [...parents, treeOf]);
  const tree = await writeTree(clone, commit);
  const sha = await writeCommit(clone, { ...commit, tree });
  const rejection = await push(clone, { branch, from: expectedHead, to: sha });
  if (rejection === undefined) return sha;
  const head = await fetchHead(clone, branch);
  // An earlier try was cut off after the remote had taken its push.
  if (head !== undefined && (await isSameCommit(clone, head, tree, commit))) return head;
  throw head === expectedHead ? rejection : new BranchMoved(clone.url, branch);
}

async function isSameCommit(clone: Clone, head: string, tree: string, commit: FilesCommit): Promise<boolean> {
  const [[headTree, parents, message = ''] = []] = await logOf(clone, '%T%n%P%n%B', ['-1', head]);
  return headTree === tree && parents === commit.parents.join(' ') && message.trimEnd() === commit.message.trimEnd();
}

/** Only if it is still at `head`: what somebody pushed to it is theirs. */
export async function deleteBranch(clone: Clone, branch: string, head: string): Promise<void> {
  if ((await fetchHead(clone, branch)) !== head) return;
  const rejection = await push(clone, { branch, from: head });
  if (rejection !== undefined && (await fetchHead(clone, branch)) === head) throw rejection;
}

/** The reasons of git's receive-pack that are about the moment, not about us. */
const passingReasons = [
  'failed to update ref',
  'failed to write',
  'unpacker error',
  'transaction failed to start',
  'internal server error',
];

export interface Push {
  readonly branch: string;
  /** Where the branch has to be now; absent: it must not exist. */
  readonly from: string | undefined;
  /** A descendant of `from`; absent: the branch is deleted. */
  readonly to?: string;
  /** What the remote's no means, if not that it takes none of our branches. @param why with what the remote said */
  readonly refusal?: (why: string) => Refusal;
}

/**
 * The lease makes the remote compare the branch with `from` and move it in one go. It allows force, but there is none in it: `from` is a
 * parent of what is pushed.
 * @returns why the remote did not take it (a Refusal, or what may pass), or undefined if it did
 */
export async function push({ contact, url }: Clone, { branch, from = '', to = '', refusal }: Push): Promise<Error | undefined> {
  const ref = `refs/heads/${branch}`;
  const options = ['--porcelain', '--no-verify', '--recurse-submodules=no', `--force-with-lease=${ref}:${from}`];
  const result = await contact(['push', ...options, url, `${to}:${ref}`]);
  if (result.exitCode === 0) return undefined;
  // `!`, from:to, and `[rejected] (why)` or `[remote rejected] (why)`
  const rejected = /^!\t[^\t]*\t\[(remote )?rejected\] \((.*)\)$/m.exec(result.stdout.toString('utf8'));
  if (rejected === null) throw remoteFailure(url, result, asDeployment);
  const [, byRemote, reason = ''] = rejected;
  if (byRemote === undefined || passingReasons.includes(reason)) {
    return new Error(`${url} did not take branch ${branch} (${reason}): ${lastLines(result.stderr)}`);
  }
  const said = remoteMessage(result.stderr);
  const why = `(${reason})${said === '' ? '' : `: ${said}`}`;
  if (refusal !== undefined) return refusal(why);
  return new Refusal('ForgeRefused', `${url} refused branch ${branch} ${why}; allow Landfall to push landfall/* branches`);
}
