import { z } from 'zod';
import { messageOf } from '../../domain/errors.ts';
import { RateLimit } from '../../domain/failures.ts';
import { excessOf, type JsonLimits, jsonIn } from '../../domain/json.ts';
import { HttpFailure, type HttpInit, httpFetch, isInternal, readBody } from '../http/client.ts';
import { limitReset, retryAfter } from '../http/headers.ts';

/** What every request of the registry client needs. */
export interface HttpSettings {
  /** Longest time from the request to the last byte of its answer. */
  readonly timeoutMs: number;
  /** Registry hosts that are spoken to without TLS. */
  readonly plainHttp: (host: string) => boolean;
  /** Whether a host was configured to belong to a registry: its token server, or storage that it redirects to. */
  readonly belongs: (host: string, registry: string) => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What is usual, where nothing else is said. */
export function httpSettingsOf(options: Partial<HttpSettings>): HttpSettings {
  const { plainHttp = () => false, belongs = () => false, timeoutMs = 30_000, now = Date.now } = options;
  return { timeoutMs, plainHttp, belongs, now };
}

export interface RegistryRequest {
  /** The host of the registry that it is about, as images name it: the URL may be that of its token server. */
  readonly registry: string;
  readonly method: RegistryMethod;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: HttpInit['body'];
  /** Absent: that of the settings. */
  readonly timeoutMs?: number;
}

export type RegistryMethod = 'GET' | 'HEAD' | 'POST' | 'PUT';

const mostRedirects = 5;
/** Enough for the message of an error; the rest of an error's body is of no use. */
const errorBodyLimit = 64 * 1024;
const registryErrors = z.object({ errors: z.array(z.unknown()) });

/** Where the API of a registry is. */
export function originOf(registry: string, { plainHttp }: Pick<HttpSettings, 'plainHttp'>): URL {
  // Docker Hub's API lives on another host than its images' names say.
  if (registry === 'docker.io') return new URL('https://registry-1.docker.io');
  return new URL(`${plainHttp(registry) ? 'http' : 'https'}://${registry}`);
}

/**
 * Sends a request and follows redirects. The Authorization header goes to the origin that it was made for and no further: registries
 * redirect to storage on other hosts, which must not see it (and some of which refuse a request that has one). Nor do they send us to
 * where only we are: see `namedBy` of the client.
 * @throws Error if the server cannot be reached or does not answer in time, and if it is another one that does not let us in: to
 *   be tried again
 */
export async function send(request: RegistryRequest, settings: HttpSettings): Promise<Response> {
  const { method, url: asked, registry, timeoutMs = settings.timeoutMs } = request;
  const signal = AbortSignal.timeout(timeoutMs);
  const home = originOf(registry, settings);
  const passed: URL[] = [];
  let url = asked;
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const answer = await sendOnce(request, url, [home, ...passed], signal, settings);
    passed.push(url);
    const location = answer.headers.get('location');
    // A POST carries an identity token in its body, so it is never sent on; what is uploaded goes where it was said to go.
    const isSentOn = method === 'GET' || method === 'HEAD';
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === null || !isSentOn) {
      if (url.origin !== asked.origin) await refuseForeign(request, url, answer);
      return await withoutInternals(answer, url, home);
    }
    await answer.body?.cancel();
    if (!URL.canParse(location, url.href)) throw new Error(`${url.host} redirects to what is no address; expected one`);
    const next = new URL(location, url);
    if (next.protocol !== 'https:' && !mayBePlain(next, registry, settings)) {
      throw new Error(
        `${url.host} redirects to ${next.origin}, which is not https; expected an encrypted address, or plainHttp for ${next.host} under registries`,
      );
    }
    url = next;
  }
  throw new Error(`${asked.host} redirects more than ${mostRedirects} times`);
}

/** @param namedBy the registry, and who has redirected since */
async function sendOnce(
  request: RegistryRequest,
  url: URL,
  namedBy: readonly [URL, ...URL[]],
  signal: AbortSignal,
  settings: HttpSettings,
): Promise<Response> {
  const { method, url: asked, registry, body } = request;
  const headers = new Headers({ 'user-agent': 'landfall', ...request.headers });
  if (url.origin !== asked.origin) headers.delete('authorization');
  const isElsewhere = url.origin !== namedBy[0].origin && !settings.belongs(url.host, registry);
  const init: HttpInit = {
    method,
    headers,
    redirect: 'manual',
    signal,
    ...(body !== undefined && { body }),
    ...(isElsewhere && { namedBy }),
  };
  // Without the query: links to storage carry signatures there, and token requests name scopes.
  const what = `${method} ${url.origin}${url.pathname}`;
  return await httpFetch(url, init).catch((error: unknown) => {
    throw new HttpFailure(what, error, request.timeoutMs ?? settings.timeoutMs);
  });
}

/** Whether it is asked without TLS: because it was configured so, or is on the very host of a registry that is. */
export function mayBePlain(url: URL, registry: string, settings: HttpSettings): boolean {
  if (url.protocol !== 'http:') return false;
  return settings.plainHttp(url.host) || (settings.plainHttp(registry) && url.hostname === originOf(registry, settings).hostname);
}

/** What somebody inside says of an error is for nobody outside; reasons are shown in notices and histories. */
async function withoutInternals(answer: Response, url: URL, home: URL): Promise<Response> {
  if (answer.status < 400 || url.origin === home.origin || !isInternal(url)) return answer;
  await answer.body?.cancel();
  const { status, statusText, headers } = answer;
  return new Response(null, { status, statusText, headers });
}

/** Storage has nothing to say about who may pull; a challenge of it would have us take the registry's credentials to wherever it names. */
async function refuseForeign({ method, url: asked }: RegistryRequest, url: URL, answer: Response): Promise<void> {
  if (answer.status !== 401 && answer.status !== 403) return;
  await answer.body?.cancel();
  throw new Error(
    `${method} ${asked.origin}${asked.pathname} is redirected to ${url.origin}, which answered with ${answer.status}: expected ` +
      'storage that needs no credentials; it is asked again',
  );
}

/** The error for an answer that none of the caller's cases is: a `RateLimit` for 429, else something broken. */
export async function unexpectedAnswer(what: string, answer: Response, settings: HttpSettings): Promise<Error> {
  const said = await errorText(answer, settings);
  const message = `${what} was answered with ${answer.status}${said === '' ? '' : `: ${said}`}`;
  return answer.status === 429 ? new RateLimit(message, limitEnd(answer.headers, settings.now())) : new Error(message);
}

/** A count of hours comes back little by little: asking again after so much of it costs nothing, as a refused request is not counted. */
const partOfWindow = 1 / 24;
const windowPattern = /^\s*0+\s*;\s*w\s*=\s*(\d{1,6})\s*$/;

/**
 * When a 429 may be followed by the next request: by `Retry-After`; else by when the count begins anew (`limitReset`); else by a part of the
 * window that is used up, as Docker Hub says it (`ratelimit-remaining: 0;w=21600`, https://docs.docker.com/docker-hub/usage/pulls/); else in a
 * minute.
 */
function limitEnd(headers: Headers, nowMs: number): Date {
  const after = headers.get('retry-after');
  if (after !== null) return retryAfter(after, nowMs);
  const resetMs = limitReset(headers, nowMs);
  if (resetMs !== undefined && resetMs >= nowMs) return retryAfter(String(Math.ceil((resetMs - nowMs) / 1_000)), nowMs);
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

/** @throws Error if the body is no JSON, or more than the limits allow */
export async function readJson(
  answer: Response,
  limit: number,
  what: string,
  { timeoutMs }: HttpSettings,
  limits: JsonLimits = { levels: 64 },
): Promise<unknown> {
  const body = await readBody(answer, limit, what, timeoutMs);
  const excess = excessOf(body, limits);
  if (excess !== undefined) throw new Error(`${what} is expected to have ${excess}`);
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    throw new Error(`${what} answered with something that is no JSON`, { cause: error });
  }
}

/**
 * Whether a 404 is the registry's own word: JSON with `errors` (OCI distribution specification). That of a proxy without its registry, or of
 * a page about maintenance, says nothing about images.
 * @returns true
 * @throws Error for any other 404: to be tried again
 */
export async function isNotThere(what: string, answer: Response, settings: HttpSettings): Promise<boolean> {
  const body = await readBody(answer, errorBodyLimit, what, settings.timeoutMs);
  const isFromRegistry = answer.headers.has('docker-distribution-api-version');
  if (isFromRegistry || registryErrors.safeParse(jsonIn(body.toString())).success) return true;
  const { message } = await unexpectedAnswer(what, new Response(body, answer), settings);
  throw new Error(`${message} (expected JSON with 'errors', as registries say that something is not there); it is asked again`);
}

/** For people to look at: of a login, an error, or maintenance. */
export function isPage(answer: Response): boolean {
  return /^text\/html\b/i.test(answer.headers.get('content-type') ?? '');
}

/** The error for a 200 that is not what was asked for. A proxy answered instead of the registry, or the registry is broken. */
export function oddAnswer(what: string, answer: Response, expected: string): Error {
  const type = answer.headers.get('content-type')?.slice(0, 100) ?? 'no type';
  const from = answer.url === '' ? '' : ` from ${new URL(answer.url).host}`;
  return new Error(
    `expected ${what} to be ${expected}, found something else (${type})${from}: a page of a proxy or a login, or an answer that was cut; ` +
      'it is asked again, see what answers there',
  );
}
