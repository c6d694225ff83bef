import { randomUUID } from 'node:crypto';

/**
 * What a sender wrote, if it is one printable line; else undefined. Names of people and commits go on into commit messages, pull
 * requests and logs, where line ends and invisible characters could pretend to be something else.
 */
export function printableLine(value: string | undefined, longest = 200): string | undefined {
  return value !== undefined && value.length <= longest && /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(value) ? value : undefined;
}

/** `owner/name` (at GitLab with groups between), or a URL without credentials; undefined for anything else. */
export function sourceRepositoryIn(text: string | undefined): string | undefined {
  const line = printableLine(text);
  if (line === undefined || /^[\w.-]+(?:\/[\w.-]+){1,8}$/.test(line)) return line;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s@]+$/i.test(line) || !URL.canParse(line)) return undefined;
  return line;
}

/** A git commit, SHA-1 or SHA-256, possibly shortened. */
export function commitHash(value: string | undefined): string | undefined {
  return value !== undefined && /^[0-9a-f]{7,64}$/i.test(value) ? value.toLowerCase() : undefined;
}

/** The sender's id of a delivery if it looks like one (a GUID), else a new one. */
export function deliveryIdOf(value: string | undefined): string {
  return value !== undefined && looksLikeDeliveryId(value) ? value : randomUUID();
}

export function looksLikeDeliveryId(value: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);
}
