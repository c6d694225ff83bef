/** A whole name of git's, the 40 hex digits of SHA-1: what is shorter may become another commit's. */
export function isFullCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}
