import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { Refusal } from '../../domain/failures.ts';

/** A plain git remote, with its credentials apart from its address. */
export interface GitRemote {
  /** Tells remotes apart; fit for a file name, and without anything of a secret in it. */
  readonly key: string;
  /** What git is given. Command lines can be read by every user of the machine, so it holds no credentials. */
  readonly url: string;
  /** Arguments before the git subcommand. */
  readonly settings: readonly string[];
  /** The credentials, where the address had some. */
  readonly env: Readonly<Record<string, string>>;
}

/** Hands the credentials from the environment to git, and only to the host that they were written for. */
const credentialHelper =
  '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$LANDFALL_GIT_USERNAME" "$LANDFALL_GIT_PASSWORD"; }; f';

/**
 * @param repository a URL (`https`, `http`, `ssh`, `git`, `file`), ssh's short form `user@host:path`, or the path of a folder
 * @throws Refusal `ForgeRefused` where it is none of these
 */
export function parseRemote(repository: string): GitRemote {
  if (repository === '' || repository.startsWith('-') || /[\0\r\n]/.test(repository) || /^\w+::/.test(repository)) {
    throw new Refusal('ForgeRefused', 'expected a URL or a path as git remote, found something else; correct change.repository');
  }
  if (/^\w[\w+.-]*:\/\//.test(repository)) return parseUrl(repository);
  // git's own rule: a colon before the first slash makes it ssh's short form.
  const isShortForm = /^[^/]+:/.test(repository);
  return remote(isShortForm ? repository : resolve(repository));
}

function parseUrl(repository: string): GitRemote {
  const url = URL.canParse(repository) ? new URL(repository) : undefined;
  if (url === undefined) {
    throw new Refusal('ForgeRefused', 'expected a well-formed URL as git remote; correct change.repository');
  }
  if (url.protocol === 'file:') return remote(repository);
  const username = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  url.password = '';
  if (!/^https?:$/.test(url.protocol)) return remote(url.href);
  url.username = '';
  if (username === '' && password === '') return remote(url.href);
  const scope = `credential.${url.origin}.helper`;
  return {
    ...remote(url.href),
    // The empty value drops the helpers configured for this host: the address itself names the credentials.
    settings: ['-c', `${scope}=`, '-c', `${scope}=${credentialHelper}`],
    env: { LANDFALL_GIT_USERNAME: username, LANDFALL_GIT_PASSWORD: password },
  };
}

function remote(url: string): GitRemote {
  return { key: createHash('sha256').update(url).digest('hex').slice(0, 24), url, settings: [], env: {} };
}
