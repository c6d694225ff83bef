import type { HttpClientResponse } from '@actions/http-client';

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** Of the answer's `Retry-After`. */
  readonly retryAfterMs?: number;
}

/** That no other attempt would go better. */
export class FinalError extends Error {}

/** Milliseconds since 1970. */
export type Deadline = number;

const firstWaitMs = 500;
const longestWaitMs = 15_000;
const longestAttemptMs = 30_000;
const mostBytes = 1024 * 1024;
/** That it is worth to send again: too many requests, too slow, and whatever is wrong at the other end. */
const isPassing = (status: number): boolean => status === 408 || status === 429 || status >= 500;

/**
 * One request, sent again until its answer is final or the time is over.
 * @param what for people: `Landfall`
 * @returns the final answer, whatever it says
 * @throws FinalError that names the last thing that went wrong, where there is no final one in time
 */
export async function persist(
  what: string,
  deadline: Deadline,
  send: (timeoutMs: number) => Promise<HttpClientResponse>,
  report: (message: string) => void,
): Promise<Answer> {
  for (let attempt = 0; ; attempt++) {
    const tried = await attemptOnce(send, Math.max(1, Math.min(longestAttemptMs, deadline - Date.now())));
    if ('status' in tried && !isPassing(tried.status)) return tried;
    const problem =
      'status' in tried ? `${what} answered ${tried.status}${detailOf(tried)}` : `${what} cannot be reached: ${tried.problem}`;
    const waitMs = ('status' in tried ? tried.retryAfterMs : undefined) ?? backoff(attempt);
    if (Date.now() + waitMs >= deadline)
      throw new FinalError(`${problem}. The time is over (timeout-seconds) after ${attempt + 1} attempts`);
    report(`${problem}. Next attempt in ${Math.ceil(waitMs / 1000)} s.`);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

async function attemptOnce(
  send: (timeoutMs: number) => Promise<HttpClientResponse>,
  timeoutMs: number,
): Promise<Answer | { problem: string }> {
  try {
    const response = await send(timeoutMs);
    const text = await readBounded(response);
    const { statusCode = 0, headers } = response.message;
    const retryAfterMs = parseRetryAfter(headers['retry-after']);
    return { status: statusCode, text, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  } catch (error) {
    if (error instanceof FinalError) throw error;
    // Messages of several addresses that were tried are in `errors`, and the outer one is empty.
    const [cause] = error instanceof AggregateError ? error.errors : [error];
    return { problem: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** Unlike `readBody`, it ends where the connection does. */
async function readBounded({ message }: HttpClientResponse): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > mostBytes) throw new Error(`expected an answer of at most ${mostBytes} bytes, found more`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Doubling, and never quite the same: jobs that failed together should not come back together. */
function backoff(attempt: number): number {
  return Math.min(longestWaitMs, firstWaitMs * 2 ** attempt) * (0.75 + Math.random() / 4);
}

/** Seconds, or a date. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** What a problem document says, as one line; else nothing. */
export function detailOf({ text }: Pick<Answer, 'text'>): string {
  const { detail } = asRecord(parseJson(text));
  return typeof detail === 'string' && detail !== '' ? `: ${detail.replace(/\s+/g, ' ').slice(0, 500)}` : '';
}

/** @returns undefined where it is none */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
