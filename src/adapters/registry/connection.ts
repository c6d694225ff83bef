/**
 * The error of a connection that broke, or of an answer that did not come in time. `fetch` itself says only "fetch failed" or
 * "terminated"; what happened is in the cause.
 */
export function brokenConnection(what: string, error: unknown, timeoutMs: number): Error {
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return new Error(`${what} was not answered within ${timeoutMs / 1_000} s`, { cause: error });
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const reason = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.message) : String(cause);
  return new Error(`${what} failed: ${reason}`, { cause: error });
}
