/**
 * Image references as in the OCI distribution specification and in `distribution/reference`: `registry/path[:tag][@digest]`. Docker Hub's
 * short names are written out: `nginx` is `docker.io/library/nginx`.
 */

/** `sha256:` and 64 lower-case hex digits. */
export type Digest = string & { readonly __brand: 'Digest' };
/** `registry/path`, lower case, without tag and digest. */
export type Repository = string & { readonly __brand: 'Repository' };
/** At most 128 characters of `[A-Za-z0-9_.-]`, not beginning with `.` or `-`. */
export type Tag = string & { readonly __brand: 'Tag' };

export interface ImageReference {
  readonly repository: Repository;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

const digestPattern = /^sha256:[0-9a-f]{64}$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const hostPattern =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const pathComponentPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
/** What Docker calls an image id: it would be ambiguous as a name. */
const imageIdPattern = /^[0-9a-f]{64}$/;
/** Of registry and path together, says the OCI distribution specification. */
const longestName = 255;
/** Refused before any pattern sees it: name, tag, digest and some room for a longer alias of Docker Hub. */
const longestReference = 512;
/** Names of Docker Hub's registry that mean the same repositories. */
const dockerHubHosts: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

export function isDigest(text: string): text is Digest {
  return digestPattern.test(text);
}

export function isTag(text: string): text is Tag {
  return tagPattern.test(text);
}

/** The message says what was expected. */
export class InvalidReference extends Error {
  constructor(text: string, expected: string) {
    super(`'${text.slice(0, 300)}' is not an image reference: ${expected}`);
    this.name = 'InvalidReference';
  }
}

/** @throws InvalidReference */
export function parseReference(text: string): ImageReference {
  if (text.length > longestReference) throw new InvalidReference(text, `expected at most ${longestReference} characters`);
  const { name, tag, digest } = splitReference(text);
  if (digest !== undefined && !isDigest(digest)) {
    throw new InvalidReference(text, 'expected sha256: and 64 lower-case hex digits after @');
  }
  if (tag !== undefined && !isTag(tag)) {
    throw new InvalidReference(text, 'expected a tag of at most 128 letters, digits, _, . and - after the colon');
  }
  const repository = parseRepository(name, text);
  return { repository, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

/** The repository of a reference as its author spelled it (`nginx` of `nginx:1.25@sha256:…`), valid or not. */
export function writtenRepository(text: string): string {
  return splitReference(text).name;
}

/** A colon after the last slash begins the tag; one before it belongs to the registry's port. */
function splitReference(text: string): { name: string; tag?: string | undefined; digest?: string | undefined } {
  const [, name = '', tag, digest] = /^((?:[^@]*\/)?[^@:]*)(?::([^@]*))?(?:@(.*))?$/s.exec(text) ?? [];
  return { name, tag, digest };
}

/**
 * A repository name without tag and digest, with Docker Hub's short forms written out and the registry in lower case. As in Docker, what is
 * before the first slash is a registry only if it could not be a path: it has a dot, a colon or is `localhost`. Docker also takes a name with
 * capitals for a registry (`Team/app`); here it is refused, because in lower case it would mean a repository of Docker Hub.
 * @param whole what to show in the error, where `name` is a part of it
 * @throws InvalidReference
 */
export function parseRepository(name: string, whole: string = name): Repository {
  if (name.length > longestReference) throw new InvalidReference(whole, `expected at most ${longestReference} characters`);
  if (imageIdPattern.test(name)) throw new InvalidReference(whole, 'expected a name, found the 64 hex digits of an image id');
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = /[.:]/.test(first) || first.toLowerCase() === 'localhost';
  const [host, path] = isHost ? [first, name.slice(slash + 1)] : ['docker.io', name];
  // Before lower-casing: some letters outside ASCII become ASCII letters by it.
  if (!hostPattern.test(host)) throw new InvalidReference(whole, 'expected a registry host before the first slash');
  if (!path.split('/').every((component) => pathComponentPattern.test(component))) {
    throw new InvalidReference(whole, 'expected lower-case path components of letters and digits, separated by ., _, __ or -');
  }
  const isDockerHub = dockerHubHosts.includes(host.toLowerCase());
  const registry = isDockerHub ? 'docker.io' : host.toLowerCase();
  const full = isDockerHub && !path.includes('/') ? `${registry}/library/${path}` : `${registry}/${path}`;
  if (full.length > longestName) {
    throw new InvalidReference(whole, `expected at most ${longestName} characters of registry and path`);
  }
  return full as Repository;
}

/** The canonical form; parsing it gives the same reference again. */
export function formatReference({ repository, tag, digest }: ImageReference): string {
  return `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** `ghcr.io` of `ghcr.io/team/app`. */
export function registryOf(repository: Repository): string {
  return repository.slice(0, repository.indexOf('/'));
}

/** `team/app` of `ghcr.io/team/app`. */
export function pathOf(repository: Repository): string {
  return repository.slice(repository.indexOf('/') + 1);
}

/** As people write it, and most manifests have it: `nginx` of `docker.io/library/nginx`. */
export function familiarName(repository: Repository): string {
  return repository.replace(/^docker\.io\/(?:library\/)?/, '');
}

/** Undefined for what is no reference: ids, mostly. */
export function tryParseReference(text: string): ImageReference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}
