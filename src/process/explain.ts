/**
 * An error as somebody who has to mend it reads it: what failed, and because of what, one line each. A fault of our own (a TypeError, say)
 * keeps its stack, for whoever mends us.
 */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isOurs = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  const own = isOurs ? (error.stack ?? error.message) : error.message;
  const causes = error instanceof AggregateError ? error.errors : error.cause === undefined ? [] : [error.cause];
  return [own, ...causes.map((cause) => `  because: ${explain(cause)}`)].join('\n');
}
