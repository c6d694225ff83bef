/** More than any forge's URL has; longer text is not looked at. */
const longest = 300;

/**
 * The source repository of a build, from the URL that Quay cloned: `git@github.com:org/repo.git` is `org/repo`; one of another forge is
 * a URL without credentials, because `owner/name` would mean GitHub.
 * @returns undefined for anything else
 */
export function sourceRepositoryOf(gitUrl: string | undefined): string | undefined {
  const at = partsOf(gitUrl?.trim() ?? '');
  if (at === undefined) return undefined;
  const path = at.path.replace(/\/$/, '').replace(/\.git$/, '');
  if (!/^[\w.-]+(?:\/[\w.-]+){1,7}$/.test(path) || path.split('/').some((part) => /^\.{1,2}$/.test(part))) return undefined;
  return at.origin === 'https://github.com' && path.split('/').length === 2 ? path : `${at.origin}/${path}`;
}

interface GitUrlParts {
  /** As a browser would reach it. */
  readonly origin: string;
  readonly path: string;
}

function partsOf(gitUrl: string): GitUrlParts | undefined {
  if (gitUrl.length > longest) return undefined;
  const [, shortHost, shortPath] = /^(?:[\w.-]+@)?([\w.-]+):(?!\/)(.+)$/.exec(gitUrl) ?? [];
  if (shortHost !== undefined && shortPath !== undefined)
    return { origin: `https://${shortHost.toLowerCase()}`, path: shortPath };
  if (!URL.canParse(gitUrl)) return undefined;
  const { protocol, host, hostname, pathname } = new URL(gitUrl);
  const path = pathname.slice(1);
  if (protocol === 'https:' || protocol === 'http:') return { origin: `${protocol}//${host}`, path };
  return protocol === 'ssh:' || protocol === 'git:' ? { origin: `https://${hostname.toLowerCase()}`, path } : undefined;
}
