import { InvalidReference, parseReference, parseRepository, type Repository } from '../domain/image-reference.ts';

/**
 * Which repositories an entry of the configuration speaks of: one, or all whose name fits `*` (any text within one path component) or begins with
 * what is before `**`, which stands at the end.
 */
export interface ImagePattern {
  /** Canonical: Docker Hub's short names are written out. */
  readonly text: string;
  /** The one repository; absent if the text holds a `*`. */
  readonly repository?: Repository;
}

/** At the end: any path, of however many components. */
const anyPath = '**';
/** Stands for `*` while the rest is checked by the grammar of references. */
const placeholder = '0wildcard0';

/** @throws InvalidReference */
export function parseImagePattern(text: string): ImagePattern {
  if (!text.includes('*')) {
    const { repository, tag, digest } = parseReference(text);
    if (tag === undefined && digest === undefined) return { text: repository, repository };
    throw new InvalidReference(text, 'expected no tag and no digest here; which tags are followed is said by `tags`');
  }
  const isAnyPath = text.endsWith(anyPath);
  const open = isAnyPath ? text.slice(0, -1) : text;
  if (isAnyPath && (open.indexOf('*') < open.length - 1 || !open.includes('/')))
    throw new InvalidReference(text, 'expected ** at the end, after a registry or an owner with a /, and no other *');
  const canonical = parseRepository(open.replaceAll('*', placeholder), text);
  if (canonical.slice(0, canonical.indexOf('/')).includes(placeholder)) {
    throw new InvalidReference(text, 'expected * only after the registry');
  }
  return { text: canonical.replaceAll(placeholder, isAnyPath ? anyPath : '*') };
}

export function matchesPattern(pattern: ImagePattern, repository: Repository): boolean {
  if (pattern.repository !== undefined) return pattern.repository === repository;
  if (isOfAnyDepth(pattern)) return repository.startsWith(pattern.text.slice(0, -anyPath.length));
  const wanted = pattern.text.split('/');
  const found = repository.split('/');
  return wanted.length === found.length && wanted.every((component, index) => matchesWildcard(component, found[index] ?? ''));
}

/** Whether what it leaves open may have several path components. */
export function isOfAnyDepth({ text }: ImagePattern): boolean {
  return text.endsWith(anyPath);
}

/** Whether `*` in `wanted`, as any text, makes it `found`. Without a regular expression: many `*` must not make the matching explode. */
export function matchesWildcard(wanted: string, found: string): boolean {
  const parts = wanted.split('*');
  const first = parts.shift() ?? '';
  const last = parts.pop();
  if (last === undefined) return found === first;
  if (!found.startsWith(first) || !found.endsWith(last) || found.length < first.length + last.length) return false;
  let from = first.length;
  for (const part of parts) {
    const at = found.indexOf(part, from);
    if (at < 0 || at + part.length > found.length - last.length) return false;
    from = at + part.length;
  }
  return true;
}

/** Whether a path with `*` means a folder: of the same depth, and within the root. */
export function matchesFolder(path: string, folder: string): boolean {
  const [wanted, found] = [path.split('/'), folder.split('/')];
  const isWithin = !found.some((part) => part === '.' || part === '..');
  return isWithin && found.length === wanted.length && wanted.every((part, index) => matchesWildcard(part, found[index] ?? ''));
}

/** How exactly a pattern speaks of what it matches: the greater one wins. One repository beats every pattern. */
export function exactness(pattern: ImagePattern): number {
  return pattern.repository !== undefined ? Number.POSITIVE_INFINITY : pattern.text.replaceAll('*', '').length;
}
