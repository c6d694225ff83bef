import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { Refusal } from '../../domain/failures.ts';

/** A plain git remote. Its address holds no credentials: the configuration refuses them, and git's own helpers and ssh keys have them. */
export interface GitRemote {
  /** Tells remotes apart; fit for a file name. */
  readonly key: string;
  /** What git is given. */
  readonly url: string;
}

/** What we want of a remote, and by which setting it was named: for what people are told to mend. */
export interface RemoteKind {
  readonly needs: 'read' | 'read and push';
  readonly setting: string;
}
export const asDeployment: RemoteKind = { needs: 'read and push', setting: 'change.repository' };
export const asSource: RemoteKind = { needs: 'read', setting: 'source.git' };

/** A URL (https, http, ssh, git, file), ssh's short form `user@host:path`, or a folder. @throws Refusal `ForgeRefused` for anything else */
export function parseRemote(repository: string, { setting }: RemoteKind): GitRemote {
  if (repository === '' || repository.startsWith('-') || /[\0\r\n]/.test(repository) || /^\w+::/.test(repository)) {
    throw new Refusal('ForgeRefused', `expected a URL or a path as git remote, found something else; correct ${setting}`);
  }
  const isUrl = /^\w[\w+.-]*:\/\//.test(repository);
  if (isUrl && !URL.canParse(repository)) {
    throw new Refusal('ForgeRefused', `expected a well-formed URL as git remote; correct ${setting}`);
  }
  // git's own rule: a colon before the first slash makes it ssh's short form, if it is no URL.
  const url = /^[^/]+:/.test(repository) ? repository : resolve(repository);
  return { key: createHash('sha256').update(url).digest('hex').slice(0, 24), url };
}
