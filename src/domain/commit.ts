/** A whole name of git's, the 40 hex digits of SHA-1: what is shorter may become another commit's. */
export function isFullCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/** The name of a branch or a tag, of what names it beyond doubt: `main` of `refs/heads/main`. */
export function shortRef(ref: string): string {
  return ref.replace(/^refs\/(?:heads|tags)\//, '');
}
