import { isGitHubRepository } from '../domain/github-repository.ts';

/**
 * What an address of git is about, whichever way it is written: `https://user@git.example.org/team/app.git` and `git@git.example.org:team/app` are
 * one repository. Ports are left out: ssh and https have different ones.
 */
function placeOf(address: string): string {
  const short = /^(?:[^@/]+@)?([^:/]+):(?!\/\/)(.+)$/.exec(address);
  const url = short === null && URL.canParse(address) ? new URL(address) : undefined;
  const [host, path] = short !== null ? [short[1], short[2]] : [url?.hostname, url?.pathname ?? address];
  const bare = (path ?? '').replace(/^\/+|\/+$/g, '').replace(/\.git$/, '');
  return host ? `${host}/${bare}`.toLowerCase() : (path ?? '');
}

/** Whether a repository of the configuration is at an address, and not only called alike. @param site where `owner/name` is, as `https://github.com` */
export function isRepositoryAt(configured: string, address: string, site: string): boolean {
  return placeOf(isGitHubRepository(configured) ? `${site}/${configured}` : configured) === placeOf(address);
}

/** Whether a repository of the configuration is the one that a push names, in one of the ways in which it does. */
export function isSameRepository(configured: string, named: readonly string[]): boolean {
  if (isGitHubRepository(configured)) {
    const name = configured.toLowerCase();
    return named.some((each) => each.toLowerCase() === name || placeOf(each).endsWith(`/${name}`));
  }
  const place = placeOf(configured);
  return named.some((each) => placeOf(each) === place);
}
