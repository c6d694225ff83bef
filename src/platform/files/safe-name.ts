import { createHash } from 'node:crypto';

/** A readable name for a file or an image's tag, never the same for two lists of words: at most 80 characters of `[a-z0-9.-]`. */
export function safeName(...words: readonly string[]): string {
  const readable = words
    .join('-')
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[.-]+/, '');
  const hash = createHash('sha256').update(JSON.stringify(words)).digest('hex');
  return `${readable.slice(0, 67)}-${hash.slice(0, 12)}`;
}
