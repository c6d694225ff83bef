import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { RE2JSException } from 're2js';
import { codeOf } from '../domain/errors.ts';
import { shortened } from '../domain/inert-text.ts';
import type { HttpProbePlan } from '../domain/plan.ts';
import { type ExpectedImage, expectedVersion, isVersion, valueAt } from '../domain/watch.ts';
import { ownConnection } from '../platform/http/client.ts';
import { ThreadLimited } from '../platform/thread.ts';
import { messageOfAll, type ProbeAnswer } from './answer.ts';
import { matches } from './match.ts';

export interface HttpProbeContext {
  /** What `ca` is relative to. */
  readonly baseDir: string;
  readonly secrets: (value: string) => string;
  /** Absent: which version answers does not matter. */
  readonly expected?: ExpectedImage;
  readonly signal: AbortSignal;
}

type HttpExchange = Awaited<ReturnType<typeof request>>;

const longestBody = 1024 * 1024;

/**
 * Asks once, over a new connection: with a kept one, a service that takes no new connections would look healthy. No redirect is followed,
 * certificates are always verified. Never throws but for the signal and what `secrets` throws.
 */
export async function askHttp(probe: HttpProbePlan, context: HttpProbeContext): Promise<ProbeAnswer> {
  const name = `http ${shownUrl(probe.url)}`;
  const headers = Object.fromEntries(Object.entries(probe.headers).map(([key, value]) => [key, context.secrets(value)]));
  try {
    const found = await request(probe, headers, context);
    const wrong = await judge(probe, found, context.expected);
    return { kind: wrong === undefined ? 'good' : 'bad', text: `${name} ${wrong ?? `answered ${found.status}`}` };
  } catch (error) {
    context.signal.throwIfAborted();
    return { kind: 'bad', text: `${name} ${failure(error, probe)}` };
  }
}

/** Without user, password and query, which may be secret. */
function shownUrl(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) return 'with an unusable url';
  const { origin, pathname, search } = parsed;
  return `${origin}${pathname}${search === '' ? '' : '?…'}`;
}

async function request(probe: HttpProbePlan, headers: Readonly<Record<string, string>>, context: HttpProbeContext) {
  const url = new URL(probe.url);
  const ca = probe.ca === undefined ? undefined : await readFile(resolve(context.baseDir, probe.ca));
  const signal = AbortSignal.any([AbortSignal.timeout(probe.timeoutMs), context.signal]);
  const connection = ownConnection(url, probe.timeoutMs, ca && { ca });
  try {
    const answer = await connection.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'GET',
      signal,
      headers: { 'user-agent': 'landfall-watch', accept: '*/*', 'accept-encoding': 'identity', ...headers, connection: 'close' },
    });
    return { status: answer.statusCode, headers: answer.headers, body: await readBeginning(answer.body) };
  } finally {
    await connection.destroy();
  }
}

async function readBeginning(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= longestBody) break;
  }
  return Buffer.concat(chunks).subarray(0, longestBody).toString('utf8');
}

/** What is wrong with it; undefined: nothing. */
async function judge(
  probe: HttpProbePlan,
  found: HttpExchange,
  expected: ExpectedImage | undefined,
): Promise<string | undefined> {
  const allowed = probe.status.length === 0 ? ['2xx', '3xx'] : probe.status;
  const isAllowed = allowed.some((each) =>
    /^\dxx$/i.test(each) ? each[0] === String(found.status)[0] : each === String(found.status),
  );
  if (!isAllowed) return `answered ${found.status}, expected ${allowed.join(' or ')}`;
  if (probe.header !== undefined) {
    const value = headerOf(found, probe.header.name);
    if (value === undefined) return `answered ${found.status} without the header ${probe.header.name}`;
    if (!(await matches(probe.header.pattern, value, probe.timeoutMs)))
      return `answered with a header ${probe.header.name} that does not match ${probe.header.pattern}`;
  }
  if (probe.body !== undefined && !(await matches(probe.body, found.body, probe.timeoutMs)))
    return `answered ${found.status} with a body that does not match ${probe.body}`;
  return probe.version === undefined || expected === undefined ? undefined : judgeVersion(probe.version, found, expected);
}

function judgeVersion(
  { from, equals }: NonNullable<HttpProbePlan['version']>,
  found: HttpExchange,
  expected: ExpectedImage,
): string | undefined {
  const where = 'header' in from ? `the header ${from.header}` : `${from.json || 'the document'} of its answer`;
  const value = 'header' in from ? headerOf(found, from.header) : valueAt(parsed(found.body), from.json);
  const wanted = expectedVersion(equals, expected);
  if (wanted === undefined) return `cannot be compared: the ${equals} of the image is not known`;
  if (value === undefined) return `answered without a version in ${where}`;
  if (isVersion(equals, value, wanted)) return undefined;
  return `is still another version: ${where} says ${shortened(value, 80)}, expected ${equals} ${shortened(wanted, 80)}`;
}

function headerOf({ headers }: HttpExchange, name: string): string | undefined {
  const value = headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(', ') : value;
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function failure(error: unknown, probe: HttpProbePlan): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `did not answer within ${probe.timeoutMs / 1000} s`;
  if (error instanceof RE2JSException) return `cannot be judged: a pattern is not in RE2's syntax (${error.message})`;
  if (error instanceof ThreadLimited) return `answered with a body in which to find ${probe.body} takes ${error.excess}`;
  const code = String(codeOf(error) ?? '');
  if (code === 'ERR_INVALID_URL') return 'cannot be asked: expected http://HOST/PATH or https://HOST/PATH';
  return `failed: ${messageOfAll(error) || code}`;
}
