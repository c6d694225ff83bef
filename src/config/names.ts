import { createHash } from 'node:crypto';

/** With prefix, tag and digest it fits the 255 characters that Temporal on PostgreSQL has for a workflow id. */
const longestServiceName = 99;

/** A name made of a repository's path, which may be longer than a name: its end then tells it from others that begin alike. */
export function shortenedName(name: string): string {
  if (name.length <= longestServiceName) return name;
  const suffix = `-${shortHash(name)}`;
  return name.slice(0, longestServiceName - suffix.length) + suffix;
}

export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
