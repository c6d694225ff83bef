import { createHash } from 'node:crypto';

/**
 * What names a place (a service and its stage, a directory) as the name of a file, and as the tag of an image: readable, and never the
 * same for two places.
 * @returns at most 80 characters of `[a-z0-9.-]`
 */
export function safeName(...words: readonly string[]): string {
  const readable = words
    .join('-')
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[.-]+/, '');
  const hash = createHash('sha256').update(JSON.stringify(words)).digest('hex');
  return `${readable.slice(0, 67)}-${hash.slice(0, 12)}`;
}
