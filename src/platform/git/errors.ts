import { RateLimit, Refusal } from '../../domain/failures.ts';
import type { GitResult } from './command.ts';
import type { RemoteKind } from './remote.ts';

/** The remote does not have a commit: a wrong one, one that is gone, or one that not all of its servers have yet. */
export class UnknownCommit extends Error {
  constructor(shown: string, commit: string) {
    super(`expected a commit (40 digits), a branch or a tag of ${shown}, found none named '${commit}'`);
    this.name = 'UnknownCommit';
  }
}

const credentialsRefused = (shown: string, { needs }: RemoteKind) =>
  new Refusal(
    'CredentialsRefused',
    `${shown} refused our credentials, or got none: expected some that may ${needs}; give the worker's git a credential helper or an ssh key for it`,
  );
const hostKeyUnknown = (shown: string) =>
  new Refusal('CredentialsRefused', `the ssh host key of ${shown} is not trusted: add it to the worker's known_hosts file`);
const noRepository = (shown: string, { setting }: RemoteKind) =>
  new Refusal(
    'ForgeRefused',
    `found no git repository at ${shown}, or the credentials may not see it: correct ${setting}, or give them access`,
  );
const transportRefused = (shown: string) =>
  new Refusal('ForgeRefused', `expected a remote over https, http, ssh, git or a path, found ${shown}`);
const ownedBySomebodyElse = (shown: string) =>
  new Refusal(
    'ForgeRefused',
    `${shown} belongs to another user than the worker's: change its owner, or add it to safe.directory of the worker's git configuration`,
  );
const unknownCommit = (shown: string, _kind: RemoteKind, named: string) => new UnknownCommit(shown, named);
/** Plain git hands no Retry-After on. */
const rateLimited = (shown: string) => new RateLimit(`${shown} asks us to wait`, new Date(Date.now() + 60_000));

/**
 * What git says when a remote refuses. It ends with 128 for all of it, so only its own messages tell these apart: whole lines of the C locale,
 * which no remote can forge (its own come after `remote: `). Anything else counts as broken, and is tried again.
 */
const answers: readonly { readonly line: RegExp; readonly error: (shown: string, kind: RemoteKind, named: string) => Error }[] = [
  // remote-curl.c (401 with credentials), prompt.c (401 without any)
  { line: /^fatal: Authentication failed for '/m, error: credentialsRefused },
  { line: /^fatal: could not read (?:Username|Password) for '/m, error: credentialsRefused },
  // OpenSSH, ssh.c and sshconnect.c
  { line: /^(?:[^\s:]+@?[^\s:]*: )?Permission denied \([\w,-]+\)\.?\r?$/m, error: credentialsRefused },
  { line: /^Host key verification failed\.?\r?$/m, error: hostKeyUnknown },
  // remote-curl.c (404), path.c (paths and ssh), GitHub's ssh server
  { line: /^fatal: repository '.*' not found$/m, error: noRepository },
  { line: /^fatal: '.*' does not appear to be a git repository$/m, error: noRepository },
  { line: /^ERROR: Repository not found\.\r?$/m, error: noRepository },
  // transport.c, setup.c
  { line: /^fatal: transport '.*' not allowed$/m, error: transportRefused },
  { line: /^fatal: detected dubious ownership in repository at '/m, error: ownedBySomebodyElse },
  // upload-pack.c; fetch-pack.c, of a remote that is asked in the older protocol
  { line: /^fatal: remote error: upload-pack: not our ref ([0-9a-f]{40})$/m, error: unknownCommit },
  { line: /^error: Server does not allow request for unadvertised object ([0-9a-f]{40})$/m, error: unknownCommit },
  // remote-curl.c, for every other status; the text after the address is libcurl's
  { line: /^fatal: unable to access '.*': The requested URL returned error: 40[13]/m, error: credentialsRefused },
  { line: /^fatal: unable to access '.*': The requested URL returned error: 404/m, error: noRepository },
  { line: /^fatal: unable to access '.*': The requested URL returned error: 429/m, error: rateLimited },
];

/** The error for a command that talked to a remote and failed. */
export function remoteFailure(shown: string, { command, exitCode, stderr }: GitResult, kind: RemoteKind): Error {
  for (const { line, error } of answers) {
    const found = line.exec(stderr);
    if (found !== null) return error(shown, kind, found[1] ?? '');
  }
  return new Error(`git ${command} with ${shown} failed (exit code ${exitCode}): ${lastLines(stderr)}`);
}

/** What the remote's hooks printed, without git's prefix; at most 2,000 characters. */
export function remoteMessage(stderr: string): string {
  const lines = stderr.split('\n').flatMap((line) => /^remote: (.*?)\s*$/.exec(line)?.[1] ?? []);
  return lines.join('\n').slice(0, 2_000).trim();
}

/** The end of what git printed, which has the reason. */
export function lastLines(stderr: string): string {
  return stderr.trim().slice(-1_000) || 'it printed nothing';
}
