import { Refusal } from '../../domain/failures.ts';
import { lastLines, remoteFailure, remoteMessage } from '../../platform/git/errors.ts';
import type { GitRemote } from '../../platform/git/remote.ts';
import type { CachedRepository } from './cache.ts';

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
  readonly from?: string;
  /** A descendant of `from`; absent: the branch is deleted. */
  readonly to?: string;
}

/** The remote said no, for good: what it said, at most 2,000 characters. */
export class PushRefused extends Error {
  readonly reason: string;
  readonly said: string;

  constructor(reason: string, said: string) {
    super(`the remote refused the push (${reason})${said === '' ? '' : `: ${said}`}`);
    this.name = 'PushRefused';
    this.reason = reason;
    this.said = said;
  }
}

/**
 * The lease makes the remote compare the branch with `from` and move it in one go. It allows force, but there is none in it: `from` is a
 * parent of what is pushed.
 * @returns why the remote did not take it (`PushRefused`, or what may pass), or undefined if it did
 */
export async function push(clone: CachedRepository, remote: GitRemote, { branch, from, to }: Push): Promise<Error | undefined> {
  const ref = `refs/heads/${branch}`;
  const lease = `--force-with-lease=${ref}:${from ?? ''}`;
  const change = `${to ?? ''}:${ref}`;
  const result = await clone.contact([
    'push',
    '--porcelain',
    '--no-verify',
    '--recurse-submodules=no',
    lease,
    remote.url,
    change,
  ]);
  if (result.exitCode === 0) return undefined;
  // `!`, from:to, and `[rejected] (why)` or `[remote rejected] (why)`
  const rejected = /^!\t[^\t]*\t\[(remote )?rejected\] \((.*)\)$/m.exec(result.stdout.toString('utf8'));
  if (rejected === null) throw remoteFailure(remote.url, result);
  const [, byRemote, reason = ''] = rejected;
  if (byRemote === undefined || passingReasons.includes(reason)) {
    return new Error(`${remote.url} did not take branch ${branch} (${reason}): ${lastLines(result.stderr)}`);
  }
  return new PushRefused(reason, remoteMessage(result.stderr));
}

/** The refusal of a push to one of our own branches. */
export function branchRefused(remote: GitRemote, branch: string, { reason, said }: PushRefused): Refusal {
  return new Refusal(
    'ForgeRefused',
    `${remote.url} refused branch ${branch} (${reason})${said === '' ? '' : `: ${said}`}; allow Landfall to push landfall/* branches`,
  );
}
