import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { excessOf } from '../domain/json.ts';
import { malformed, Problem } from './problem.ts';

/** The media types that a path takes, and what to do where another one comes. */
export interface ExpectedMediaType {
  readonly mediaTypes: readonly string[];
  /** Whatever begins with one of the media types is taken, with any parameters. */
  readonly byPrefix?: boolean;
  /** A sentence for the person who set the sender up. */
  readonly mediaTypeAdvice: string;
}

/** Refuses what cannot be read as plain JSON bytes, from the headers alone. @throws Problem 415 */
export function requireMediaType(headers: IncomingHttpHeaders, expected: ExpectedMediaType): void {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity') {
    throw unsupported('Expected a body without Content-Encoding. Send it uncompressed.', { 'Accept-Encoding': 'identity' });
  }
  const value = headers['content-type']?.toLowerCase() ?? '';
  if (expected.byPrefix && expected.mediaTypes.some((type) => value.startsWith(type))) return;
  const [type = '', ...parameters] = value.split(';');
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='));
  if (!expected.mediaTypes.includes(type.trim())) {
    const named = expected.mediaTypes.filter((each) => each !== '').join(' or ');
    throw unsupported(`Expected the media type ${named}. ${expected.mediaTypeAdvice}`);
  }
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw unsupported('Expected the charset utf-8, the only one of JSON.');
  }
}

export interface BodyLimits {
  readonly bytes: number;
  /** From the end of the headers to the end of the body. */
  readonly timeoutMs: number;
  /** From the end of the headers to the first byte of the body: senders write both at once. Default: 1000. */
  readonly firstByteMs?: number;
}

/**
 * The raw bytes of a request. They are counted, so a missing or false `Content-Length` changes nothing; what is announced as too large is
 * refused without asking for it.
 * @throws Problem 413, 408, or (nobody is left to read it) `aborted`
 */
export async function readBody(request: IncomingMessage, response: ServerResponse, limits: BodyLimits): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limits.bytes) throw tooLarge(limits, expectsContinue(request));
  if (expectsContinue(request)) response.writeContinue();
  // Nearly always the body came with the headers, and is there once all that has come is parsed: no clock, no events, no copy.
  await new Promise((resolve) => setImmediate(resolve));
  return request.complete ? bodyThatIsThere(request, limits) : streamedBody(request, limits);
}

function bodyThatIsThere(request: IncomingMessage, limits: BodyLimits): Buffer {
  const body: Buffer = request.read() ?? Buffer.alloc(0);
  if (body.length > limits.bytes) throw tooLarge(limits, false);
  return body;
}

function streamedBody(request: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  return new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let isRefused = false;
    const refuse = (problem: Problem): void => {
      isRefused = true;
      stopClock();
      reject(problem);
    };
    const stopClock = startClock(limits, () => length === 0 && !request.complete, refuse);
    // The listeners stay: taking them off costs more than what they do once this is settled, which is nothing.
    request.on('data', (chunk: Buffer) => {
      if (isRefused) return;
      length += chunk.length;
      if (length > limits.bytes) refuse(tooLarge(limits, false));
      else chunks.push(chunk);
    });
    request.on('end', () => {
      stopClock();
      if (!isRefused) resolve(Buffer.concat(chunks, length));
    });
    const end = (): void => {
      stopClock();
      if (!request.readableEnded) reject(new Problem(400, 'aborted', 'The connection ended before the body was complete.'));
    };
    request.on('close', end);
    if (request.destroyed) end();
  });
}

/**
 * Gives a body up of which nothing comes, or not all in time.
 * @param isSilent whether nothing has come yet
 * @returns stops the clock
 */
function startClock(
  { timeoutMs, firstByteMs = 1_000 }: BodyLimits,
  isSilent: () => boolean,
  refuse: (problem: Problem) => void,
): () => void {
  const firstMs = Math.min(firstByteMs, timeoutMs);
  let isOver = false;
  let timer = setTimeout(() => {
    // What came while this process was busy is read only after the timers.
    setImmediate(() => {
      if (isOver) return;
      if (isSilent()) return refuse(tooSlow('the first byte of the body', firstMs));
      timer = setTimeout(() => refuse(tooSlow('the whole body', timeoutMs)), timeoutMs - firstMs);
    });
  }, firstMs);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

function tooSlow(what: string, withinMs: number): Problem {
  const detail = `Expected ${what} within ${withinMs / 1000} s. Check the connection and send it again.`;
  return new Problem(408, 'timed-out', detail, { Connection: 'close' });
}

const mostDiscardedBytes = 4 * 1024 * 1024;
const longestDiscardMs = 2_000;

/**
 * Reads and throws away the rest of a body once the answer is ready: closing at once would reset the connection, and a sender who is
 * still busy sending would not see the answer. One who sends nothing any more is cut off, so that it does not keep the connection.
 */
export function discardRest(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  let length = 0;
  const timer = setTimeout(() => request.destroy(), longestDiscardMs).unref();
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > mostDiscardedBytes) request.destroy();
  });
  request.on('close', () => clearTimeout(timer));
}

function expectsContinue(request: IncomingMessage): boolean {
  return request.headers.expect?.toLowerCase() === '100-continue';
}

/** @param unsent the sender still waits to be asked for the body, and may use the connection for something else instead */
function tooLarge(limits: BodyLimits, unsent: boolean): Problem {
  const detail = `Expected a body of at most ${limits.bytes} bytes. Send fewer events at a time.`;
  return new Problem(413, 'too-large', detail, unsent ? { Connection: 'close' } : {});
}

function unsupported(detail: string, headers: Readonly<Record<string, string>> = {}): Problem {
  return new Problem(415, 'unsupported-media-type', detail, headers);
}

/** Far more than any registry nests, and far from what could exhaust a stack. */
const limits = { levels: 64 };

/** JSON text in UTF-8 (RFC 8259). Nesting is measured on the bytes, before anything is built from them. @throws Problem 400 */
export function parseJson(raw: Buffer): unknown {
  const excess = excessOf(raw, limits);
  if (excess !== undefined) throw malformed(`Expected JSON of ${excess}.`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw)) as unknown;
  } catch (error) {
    // Only what the two parsers say about their input; their messages quote it, so they are not passed on.
    if (error instanceof SyntaxError || error instanceof TypeError) throw malformed('Expected a body that is JSON in UTF-8.');
    throw error;
  }
}
