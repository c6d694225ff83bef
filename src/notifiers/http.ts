import { RateLimit, Refusal } from '../domain/failures.ts';
import { readBody } from '../platform/registry/body.ts';
import { retryAfter } from '../platform/registry/retry-after.ts';

export interface NoticeRequest {
  /** What is asked, for errors: `the Discord webhook of env:DISCORD_URL`. Never its address, which is a secret. */
  readonly what: string;
  readonly method: 'POST' | 'PATCH';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
}

export interface NoticeAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** At most 64 KiB. */
  readonly text: string;
}

/** From the request to the last byte of its answer. */
const timeoutMs = 15_000;
/** Answers are short; nobody has to be let fill our memory. */
const longestAnswer = 64 * 1024;
/** Statuses that say something about the moment. */
const passing = new Set([408, 409, 423, 425]);

/**
 * Sends a request and reads its whole answer. Redirects are not followed: who signs for one address has not signed for another.
 * @throws Error where the server cannot be reached, or does not answer in time
 */
export async function ask(request: NoticeRequest): Promise<NoticeAnswer> {
  const { what, method, url, headers, body } = request;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([request.signal, timeout]);
  const sent = { ...withoutCredentials(url), method, body, signal };
  try {
    const answer = await fetch(sent.url, {
      ...sent,
      headers: { 'user-agent': 'landfall', ...sent.headers, ...headers },
      redirect: 'manual',
    });
    const text = (await readBody(answer, longestAnswer, `the answer of ${what}`, timeoutMs)).toString('utf8');
    return { status: answer.status, headers: answer.headers, text };
  } catch (error) {
    if (request.signal.aborted) throw request.signal.reason;
    // Without a cause: messages of fetch show addresses.
    throw new Error(`${what} ${timeout.aborted ? `did not answer within ${timeoutMs / 1000} s` : `failed: ${reasonOf(error)}`}`);
  }
}

/** What went wrong as a code or a kind, in words that hold no address. */
function reasonOf(error: unknown): string {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
  }
  return error instanceof Error ? error.name : 'unknown error';
}

/** `fetch` refuses `https://user:password@host/`, in a message that shows it. */
function withoutCredentials(url: URL): { url: URL; headers: Record<string, string> } {
  if (url.username === '' && url.password === '') return { url, headers: {} };
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { url: bare, headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } };
}

/**
 * What an answer means that is not the expected one. @param said what the target said itself, where that holds nothing secret
 * @returns the error to be thrown
 */
export function judged(what: string, answer: NoticeAnswer, said = '', nowMs: number = Date.now()): Error {
  const { status, headers } = answer;
  const found = `${what} answered ${status}${said === '' ? '' : ` (${said})`}`;
  if (status === 429) return new RateLimit(`${found}: it asks us to wait`, retryAfter(headers.get('retry-after'), nowMs));
  if (status >= 500 || passing.has(status)) return new Error(found);
  if (status >= 300 && status < 400) {
    return new Refusal('NoticeRefused', `${found}, a redirect, which is not followed: configure the address that it leads to`);
  }
  if (status < 300) return new Error(`${found}, and not with what it documents`);
  return new Refusal('NoticeRefused', `${found}: ${advice(status)}`);
}

function advice(status: number): string {
  if (status === 404 || status === 410) return 'it does not exist any more; make a new one and configure its address';
  if (status === 401 || status === 403) return 'it does not let us in; renew its address or key';
  return 'it does not take this notice';
}

/**
 * The address that a secret reference stands for.
 * @throws Refusal `NoticeRefused` where it is none; the message does not show it
 */
export function addressOf(secret: string, what: string): URL {
  const url = URL.canParse(secret) ? new URL(secret) : undefined;
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url;
  throw new Refusal('NoticeRefused', `expected ${what} to be an http(s) address, found something else: correct it`);
}

/** How a target is called in messages: by the reference of its secret, and by nothing of the secret itself. */
export function named(kind: string, reference: string): string {
  return /^(?:env|file):/.test(reference) ? `the ${kind} of ${reference}` : `the ${kind}`;
}

/** A member of a JSON answer; undefined where it is no JSON, or has none. */
export function memberOf(text: string, name: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
  } catch {
    return undefined;
  }
}
