import { messageOf } from '../../domain/errors.ts';
import { RateLimit } from '../../domain/failures.ts';
import { HttpFailure, httpFetch, readBody } from '../http/client.ts';
import { retryAfter } from '../http/headers.ts';

/** What every request of the registry client needs. */
export interface HttpSettings {
  /** Longest time from the request to the last byte of its answer. */
  readonly timeoutMs: number;
  /** Registry hosts that are spoken to without TLS. */
  readonly plainHttp: (host: string) => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

const userAgent = 'landfall';
const mostRedirects = 5;
/** Enough for the message of an error; the rest of an error's body is of no use. */
const errorBodyLimit = 64 * 1024;

/**
 * Sends a request and follows redirects. The Authorization header goes to the origin that it was made for and no further: registries
 * redirect to storage on other hosts, which must not see it (and some of which refuse a request that has one).
 * @throws Error if the server cannot be reached or does not answer in time, and if it is another one that does not let us in: to
 *   be tried again
 */
export async function send(request: RegistryRequest, { timeoutMs, plainHttp }: HttpSettings): Promise<Response> {
  const signal = AbortSignal.timeout(timeoutMs);
  let { url } = request;
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const answer = await sendOnce({ ...request, url }, request.url.origin, signal, timeoutMs);
    const location = answer.headers.get('location');
    // A POST carries an identity token in its body, so it is never sent on.
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === null || request.method === 'POST') {
      if (url.origin !== request.url.origin) await refuseForeign(request, url, answer);
      return answer;
    }
    await answer.body?.cancel();
    const next = new URL(location, url);
    if (next.protocol !== 'https:' && !(next.protocol === 'http:' && (plainHttp(next.host) || plainHttp(request.url.host)))) {
      throw new Error(`${url.host} redirects to ${next.origin}, which is not https; expected an encrypted address`);
    }
    url = next;
  }
  throw new Error(`${request.url.host} redirects more than ${mostRedirects} times`);
}

/**
 * Storage that a registry redirects to has nothing to say about who may pull. Above all, a challenge of it would have us take the
 * registry's credentials to wherever it names.
 */
async function refuseForeign({ method, url: asked }: RegistryRequest, url: URL, answer: Response): Promise<void> {
  if (answer.status !== 401 && answer.status !== 403) return;
  await answer.body?.cancel();
  throw new Error(
    `${method} ${asked.origin}${asked.pathname} is redirected to ${url.origin}, which answered with ${answer.status}: expected ` +
      'storage that needs no credentials; it is asked again',
  );
}

async function sendOnce(request: RegistryRequest, origin: string, signal: AbortSignal, timeoutMs: number): Promise<Response> {
  const { method, url, body } = request;
  const headers = new Headers({ 'user-agent': userAgent, ...request.headers });
  if (url.origin !== origin) headers.delete('authorization');
  try {
    return await httpFetch(url, { method, headers, redirect: 'manual', signal, ...(body !== undefined && { body }) });
  } catch (error) {
    // Without the query: links to storage carry signatures there, and token requests name scopes.
    throw new HttpFailure(`${method} ${url.origin}${url.pathname}`, error, timeoutMs);
  }
}

/**
 * The error for an answer that is none of those the caller expects: a `RateLimit` for 429, else something broken. 401, 403 and 404 are
 * the caller's to judge.
 */
export async function unexpectedAnswer(what: string, answer: Response, settings: HttpSettings): Promise<Error> {
  const said = await errorText(answer, settings);
  const message = `${what} was answered with ${answer.status}${said === '' ? '' : `: ${said}`}`;
  if (answer.status !== 429) return new Error(message);
  return new RateLimit(message, limitEnd(answer.headers, settings.now()));
}

/** A count of hours comes back little by little: asking again after so much of it costs nothing, as a refused request is not counted. */
const partOfWindow = 1 / 24;
const windowPattern = /^\s*0+\s*;\s*w\s*=\s*(\d{1,6})\s*$/;

/**
 * When a 429 may be followed by the next request: by `Retry-After`; else by when the count begins anew (`RateLimit-Reset` in seconds,
 * `X-RateLimit-Reset` in seconds since 1970); else by a part of the window that is used up, as Docker Hub says it
 * (`ratelimit-remaining: 0;w=21600`, https://docs.docker.com/docker-hub/usage/pulls/); else in a minute.
 */
function limitEnd(headers: Headers, nowMs: number): Date {
  const after = headers.get('retry-after');
  if (after !== null) return retryAfter(after, nowMs);
  const [reset, resetAt] = [headers.get('ratelimit-reset'), Number(headers.get('x-ratelimit-reset') ?? Number.NaN)];
  if (reset !== null && /^\s*\d+\s*$/.test(reset)) return retryAfter(reset, nowMs);
  if (resetAt * 1_000 > nowMs) return retryAfter(String(Math.ceil(resetAt - nowMs / 1_000)), nowMs);
  const windowSeconds = windowPattern.exec(headers.get('ratelimit-remaining') ?? '')?.[1];
  return retryAfter(windowSeconds === undefined ? null : String(Math.ceil(Number(windowSeconds) * partOfWindow)), nowMs);
}

/** What the server says of an error, on one line of at most 300 characters. The status counts, so a body that breaks off is no error. */
export async function errorText(answer: Response, { timeoutMs }: HttpSettings): Promise<string> {
  try {
    const body = await readBody(answer, errorBodyLimit, 'the text of the error', timeoutMs);
    return body.toString().replace(/\s+/g, ' ').trim().slice(0, 300);
  } catch (error) {
    return messageOf(error);
  }
}

/** @throws Error if it is no JSON */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what} answered with something that is no JSON`, { cause: error });
  }
}
