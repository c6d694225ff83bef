import { RateLimit, Refusal } from '../../domain/failures.ts';
import type { GitResult } from './command.ts';

/**
 * What git says when a remote refuses. Git ends with 128 for all of it, so its own messages are the only thing that tells these
 * apart: whole lines of the C locale, which no remote can forge (what a remote says is printed after `remote: `). Anything that is
 * not known here counts as broken, and is tried again.
 */
const answers: readonly { readonly line: RegExp; readonly refusal: (shown: string) => Refusal }[] = [
  // remote-curl.c (401 with credentials), prompt.c (401 without any)
  { line: /^fatal: Authentication failed for '/m, refusal: credentialsRefused },
  { line: /^fatal: could not read (?:Username|Password) for '/m, refusal: credentialsRefused },
  // OpenSSH, ssh.c and sshconnect.c
  { line: /^(?:[^\s:]+@?[^\s:]*: )?Permission denied \([\w,-]+\)\.?\r?$/m, refusal: credentialsRefused },
  { line: /^Host key verification failed\.?\r?$/m, refusal: hostKeyUnknown },
  // remote-curl.c (404), path.c (paths and ssh), GitHub's ssh server
  { line: /^fatal: repository '.*' not found$/m, refusal: noRepository },
  { line: /^fatal: '.*' does not appear to be a git repository$/m, refusal: noRepository },
  { line: /^ERROR: Repository not found\.\r?$/m, refusal: noRepository },
  // transport.c, setup.c
  { line: /^fatal: transport '.*' not allowed$/m, refusal: transportRefused },
  { line: /^fatal: detected dubious ownership in repository at '/m, refusal: ownedBySomebodyElse },
];

/** remote-curl.c, for every other status; the text after the address is libcurl's. */
const httpStatus = /^fatal: unable to access '.*': The requested URL returned error: (\d{3})/m;
/** Plain git hands no Retry-After on. */
const rateLimitMs = 60_000;

/** The error for a command that talked to a remote and failed. */
export function remoteFailure(shown: string, { command, exitCode, stderr }: GitResult): Error {
  const known = answers.find(({ line }) => line.test(stderr));
  if (known !== undefined) return known.refusal(shown);
  const status = httpStatus.exec(stderr)?.[1];
  if (status === '401' || status === '403') return credentialsRefused(shown);
  if (status === '404') return noRepository(shown);
  if (status === '429') return new RateLimit(`${shown} asks us to wait`, new Date(Date.now() + rateLimitMs));
  return new Error(`git ${command} with ${shown} failed (exit code ${exitCode}): ${lastLines(stderr)}`);
}

function credentialsRefused(shown: string): Refusal {
  return new Refusal(
    'CredentialsRefused',
    `${shown} refused our credentials, or got none: expected some that may read and push; give the worker's git a credential helper or an ssh key for it`,
  );
}

function hostKeyUnknown(shown: string): Refusal {
  return new Refusal(
    'CredentialsRefused',
    `the ssh host key of ${shown} is not trusted: add it to the worker's known_hosts file`,
  );
}

function noRepository(shown: string): Refusal {
  return new Refusal(
    'ForgeRefused',
    `found no git repository at ${shown}, or the credentials may not see it: correct change.repository, or give them access`,
  );
}

function transportRefused(shown: string): Refusal {
  return new Refusal('ForgeRefused', `expected a remote over https, http, ssh, git or a path, found ${shown}`);
}

function ownedBySomebodyElse(shown: string): Refusal {
  return new Refusal(
    'ForgeRefused',
    `${shown} belongs to another user than the worker's: change its owner, or add it to safe.directory of the worker's git configuration`,
  );
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
