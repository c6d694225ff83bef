/**
 * `owner/name` in GitHub's grammar; owners with an underscore are those of Enterprise Managed Users. Everything else that names a
 * deployment repository (a URL, `git@host:path`, a path that begins with `/` or `.`) is a plain git remote.
 */
export const githubRepositoryPattern = /^[A-Za-z0-9][A-Za-z0-9_-]*\/(?!\.{1,2}$)[A-Za-z0-9._-]+$/;

export function isGitHubRepository(repository: string): boolean {
  return githubRepositoryPattern.test(repository);
}

/** Where `owner/name` is that an API is about, as `https://github.com`: an enterprise at ghe.com has its API beside its site, a server on it. */
export function siteOfGitHub(api = 'https://api.github.com'): string {
  const { origin } = new URL(api);
  return origin.replace(/^https:\/\/api\.(?=github\.com$|[^.]+\.ghe\.com$)/, 'https://');
}
