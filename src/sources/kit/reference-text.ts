import { type Repository, writtenRepository } from '../../domain/image-reference.ts';
import { repositoryIn } from './image.ts';

/** A reference that a sender took apart, or did not; nothing of it is known to be valid. */
export interface WrittenImage {
  /** `registry/path`; a scheme before it and slashes after it do not matter. */
  readonly name: string | undefined;
  readonly tag: string | undefined;
  readonly digest?: string | undefined;
}

/** Takes `name[:tag][@digest]` apart. A colon after the last slash begins the tag; one before it belongs to the registry's port. */
export function splitReference(written: string | undefined): WrittenImage {
  if (written === undefined) return { name: undefined, tag: undefined };
  const name = writtenRepository(written);
  const [tagged = ''] = written.split('@', 1);
  const tag = tagged === name ? undefined : tagged.slice(name.length + ':'.length);
  return tagged === written ? { name, tag } : { name, tag, digest: written.slice(tagged.length + '@'.length) };
}

export interface WrittenReference {
  readonly repository: Repository;
  /** As written: neither need be one. */
  readonly tag?: string;
  readonly digest?: string;
}

/**
 * `registry/path[:tag][@digest]` as a sender wrote it, with the tolerance of `repositoryIn`; the case of a tag counts.
 * @returns undefined if there is no repository in it
 */
export function referenceIn(text: string): WrittenReference | undefined {
  const { name, tag, digest } = splitReference(text.trimEnd());
  const repository = repositoryIn(name);
  if (repository === undefined) return undefined;
  return { repository, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}
