import { type Diagnosed, fine, warning } from '../domain/diagnosis.ts';
import { RateLimit, Refusal } from '../domain/failures.ts';
import { isPlainHttp, plainHttpAdvice } from '../domain/plain-http.ts';
import { type HttpAnswer, type HttpRequest, request } from '../platform/http/client.ts';
import { retryAfter } from '../platform/http/headers.ts';

/** From the request to the last byte of its answer. */
const timeoutMs = 15_000;
/** Answers are short; nobody has to be let fill our memory. */
const longestAnswer = 64 * 1024;
/** Statuses that say something about the moment. */
const passing = new Set([408, 409, 423, 425]);

/** Sends a request (by default a POST) and reads its whole answer. Errors: see `request`. */
export function ask(
  sent: Pick<HttpRequest, 'what' | 'url' | 'headers' | 'body' | 'signal'> & Partial<Pick<HttpRequest, 'method'>>,
): Promise<HttpAnswer> {
  return request({ method: 'POST', ...sent, timeoutMs, longestAnswer });
}

/** The error that an unexpected answer means. @param said what the target said itself, where that holds nothing secret */
export function judged(what: string, answer: HttpAnswer, said = '', nowMs: number = Date.now()): Error {
  const { status, headers } = answer;
  const found = `${what} answered ${status}${said === '' ? '' : ` (${said})`}`;
  if (status === 429) return new RateLimit(`${found}: it asks us to wait`, retryAfter(headers.get('retry-after'), nowMs));
  if (status >= 500 || passing.has(status)) return new Error(found);
  if (status >= 300 && status < 400)
    return new Refusal('NoticeRefused', `${found}, a redirect, which is not followed: configure the address that it leads to`);
  if (status < 300) return new Error(`${found}, and not with what it documents`);
  return new Refusal('NoticeRefused', `${found}: ${advice(status)}`);
}

function advice(status: number): string {
  if (status === 404 || status === 410) return 'it does not exist any more; make a new one and configure its address';
  if (status === 401 || status === 403) return 'it does not let us in; renew its address or key';
  return 'it does not take this notice';
}

/** Whether somebody is there at all, and speaks HTTP: what a target thinks of our notices, only a notice would tell. */
export async function reached(what: string, url: URL, signal: AbortSignal): Promise<Diagnosed> {
  const { status } = await ask({ what, method: 'GET', url, signal });
  if (status >= 500) return warning(`${what} answers ${status}: see whether it is up`);
  return fine(`${what} answers`);
}

/** The address that a secret is. @throws Refusal `NoticeRefused` where it is none, or one without TLS; the message does not show it */
export function addressOf(secret: string, what: string, plainHttp = false): URL {
  const url = URL.parse(secret);
  if (url?.protocol === 'http:' && isPlainHttp(url) && !plainHttp)
    throw new Refusal('NoticeRefused', `expected ${what} to begin with https://, found http://: ${plainHttpAdvice}`);
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
