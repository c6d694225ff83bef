import type { Repository } from '../../domain/image-reference.ts';
import { repositoryIn } from './image.ts';
import { printableLine } from './sender-text.ts';

export interface WrittenReference {
  readonly repository: Repository;
  /** As written: neither need be one. */
  readonly tag?: string;
  readonly digest?: string;
}

/**
 * `registry/path[:tag][@digest]` as a sender wrote it, with the tolerance of `repositoryIn`; the case of a tag counts.
 * @returns undefined where there is no repository in it
 */
export function referenceIn(text: string): WrittenReference | undefined {
  const at = text.indexOf('@');
  const named = at < 0 ? text : text.slice(0, at);
  // A colon after the last slash begins the tag; one before it belongs to the registry's port.
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const repository = repositoryIn(colon < 0 ? named : named.slice(0, colon));
  if (repository === undefined) return undefined;
  return {
    repository,
    ...(colon >= 0 && { tag: named.slice(colon + 1).trimEnd() }),
    ...(at >= 0 && { digest: text.slice(at + 1).trimEnd() }),
  };
}

/** `owner/name` (at GitLab with groups between), or a URL without credentials; undefined for anything else. */
export function sourceRepositoryIn(text: string | undefined): string | undefined {
  const line = printableLine(text);
  if (line === undefined || /^[\w.-]+(?:\/[\w.-]+){1,8}$/.test(line)) return line;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s@]+$/i.test(line) || !URL.canParse(line)) return undefined;
  return line;
}
