import type { IncomingMessage, ServerResponse } from 'node:http';
import { Problem } from './problem.ts';

export interface BodyLimits {
  readonly bytes: number;
  /** From the end of the headers to the end of the body. */
  readonly timeoutMs: number;
}

/** Bytes that are read and thrown away after an answer, so that a sender who is still busy sending gets to see it. */
const discardedBytes = 4 * 1024 * 1024;

/**
 * The raw bytes of a request. They are counted while they stream in, so a missing or false `Content-Length` changes nothing; what is
 * announced as too large is refused without asking for it.
 * @throws Problem 413, 408, or (nobody is left to read it) `aborted`
 */
export function readBody(request: IncomingMessage, response: ServerResponse, limits: BodyLimits): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limits.bytes)
    return Promise.reject(tooLarge(limits, expectsContinue(request)));
  if (expectsContinue(request)) response.writeContinue();
  return new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let isRefused = false;
    const timer = setTimeout(() => {
      isRefused = true;
      reject(tooSlow(limits));
    }, limits.timeoutMs);
    // The listeners stay: taking them off costs more than what they do once this is settled, which is nothing.
    request.on('data', (chunk: Buffer) => {
      if (isRefused) return;
      length += chunk.length;
      isRefused = length > limits.bytes;
      if (!isRefused) chunks.push(chunk);
      else reject(tooLarge(limits, false));
    });
    request.on('end', () => {
      clearTimeout(timer);
      if (!isRefused) resolve(joined(chunks, length));
    });
    request.on('close', () => {
      clearTimeout(timer);
      if (!request.readableEnded) reject(new Problem(400, 'aborted', 'The connection ended before the body was complete.'));
    });
  });
}

/**
 * To be called when an answer is ready and the body may not have been read. Closing at once would reset the connection, and the
 * answer could be lost before the sender reads it; so a bounded rest is read and thrown away. The server's own request timeout bounds
 * the time.
 */
export function discardRest(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > discardedBytes) request.destroy();
  });
}

/** Most bodies come in one piece, which need not be copied. */
function joined(chunks: readonly Buffer[], length: number): Buffer {
  const [only] = chunks;
  return only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks, length);
}

function expectsContinue(request: IncomingMessage): boolean {
  return request.headers.expect?.toLowerCase() === '100-continue';
}

/** @param unsent the sender still waits to be asked for the body, and may use the connection for something else instead */
function tooLarge(limits: BodyLimits, unsent: boolean): Problem {
  const detail = `Expected a body of at most ${limits.bytes} bytes. Send fewer events at a time.`;
  return new Problem(413, 'too-large', detail, unsent ? { Connection: 'close' } : {});
}

function tooSlow(limits: BodyLimits): Problem {
  const detail = `Expected the whole body within ${limits.timeoutMs / 1000} s. Check the connection and send it again.`;
  return new Problem(408, 'timed-out', detail, { Connection: 'close' });
}
