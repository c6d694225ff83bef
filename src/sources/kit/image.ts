import type { ImagePush } from '../../domain/image-push.ts';
import { InvalidReference, isDigest, isTag, parseRepository, type Repository } from '../../domain/image-reference.ts';

/** A name has at most 255 characters; this leaves room for a scheme. Longer text is refused before any pattern sees it. */
const longestName = 300;

/**
 * A repository as a sender wrote it: a scheme before it and slashes after it are left out, and capital letters are made small.
 * @returns undefined if it is none, or names no host (it would be taken for one of Docker Hub)
 */
export function repositoryIn(name: string | undefined): Repository | undefined {
  if (name === undefined || name.length > longestName) return undefined;
  const bare = name
    .trim()
    .replace(/^[a-z]+:\/\//i, '')
    .replace(/\/+$/, '')
    // Of other alphabets, some letters would become ones of ours.
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const [host = '', ...path] = bare.split('/');
  if (path.length === 0 || !(/[.:]/.test(host) || host === 'localhost')) return undefined;
  try {
    return parseRepository(bare);
  } catch (error) {
    if (error instanceof InvalidReference) return undefined;
    throw error;
  }
}

/** Tag and digest, if they are valid. Without a tag, nothing can be started. */
export function tagAndDigest(
  tag: string | undefined,
  digest?: string | undefined,
): Pick<ImagePush, 'tag' | 'digest'> | undefined {
  if (tag === undefined || !isTag(tag)) return undefined;
  return { tag, ...(digest !== undefined && isDigest(digest) && { digest }) };
}
