/** What is wrong, in words: whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}

/** `ENOENT`, `ERR_INVALID_URL`, 1: what Node's errors and those of programs are told apart by; undefined for an error without one. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
