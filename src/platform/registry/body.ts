import { brokenConnection } from './connection.ts';

/** Thrown for a body that is larger than we are willing to hold in memory. */
export class BodyTooLarge extends Error {
  constructor(what: string, limit: number) {
    super(`${what} is larger than ${limit} bytes`);
    this.name = 'BodyTooLarge';
  }
}

/**
 * Reads a whole body, of at most `limit` bytes after any content encoding is undone.
 * @param what what it is, for the error
 * @param timeoutMs what the request was given, for the error
 * @throws BodyTooLarge, or Error where the connection breaks
 */
export async function readBody(answer: Response, limit: number, what: string, timeoutMs: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    // Leaving the loop by an error cancels the stream, so nothing more is received.
    for await (const chunk of answer.body ?? []) {
      size += chunk.length;
      if (size > limit) throw new BodyTooLarge(what, limit);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof BodyTooLarge ? error : brokenConnection(what, error, timeoutMs);
  }
  return Buffer.concat(chunks);
}
