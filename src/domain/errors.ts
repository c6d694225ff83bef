/** What is wrong, in words: whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}

/** `ENOENT`, `ERR_INVALID_URL`, 1: what Node's errors and those of programs are told apart by; undefined for an error without one. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/**
 * An error as somebody who has to mend it reads it: what failed, and because of what, one line each. A fault of our own (a TypeError, say)
 * keeps its stack, for debugging.
 */
export function withCauses(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isOurs = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  const own = isOurs ? (error.stack ?? error.message) : error.message;
  const causes = error instanceof AggregateError ? error.errors : error.cause === undefined ? [] : [error.cause];
  return [own, ...causes.map((cause) => `  because: ${withCauses(cause)}`)].join('\n');
}
