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
export async function readBody(request: IncomingMessage, response: ServerResponse, limits: BodyLimits): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limits.bytes) throw tooLarge(limits, expectsContinue(request));
  if (expectsContinue(request)) response.writeContinue();
  return await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      request.off('data', collect).off('end', end).off('close', cut);
      finish();
    };
    const collect = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > limits.bytes) settle(() => reject(tooLarge(limits, false)));
      else chunks.push(chunk);
    };
    const end = (): void => settle(() => resolve(Buffer.concat(chunks, length)));
    const cut = (): void =>
      settle(() => reject(new Problem(400, 'aborted', 'The connection ended before the body was complete.')));
    const timer = setTimeout(() => settle(() => reject(tooSlow(limits))), limits.timeoutMs);
    request.on('data', collect).on('end', end).on('close', cut);
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
