import type { z } from 'zod';
import { Unreachable } from '../operations/errors.ts';
import type { ApiPlace } from '../operations/operations.ts';
import { BodyTooLarge, type HttpAnswer, HttpFailure, request } from '../platform/http/client.ts';
import { problemError } from './problems.ts';

/** One thing to ask of the API. */
export interface ApiQuestion {
  /** Beneath `/api/v1`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Posted as JSON. Absent: nothing is changed. */
  readonly body?: object;
  /** What the answer has to be. It may have more members. */
  readonly answer: z.ZodType;
  readonly timeoutMs?: number;
}

/** Asks, and checks the answer. @throws OperationError */
export type AskApi = <Answer>(question: ApiQuestion) => Promise<Answer>;

/** A worker may have to replay a long rollout first. */
const usualTimeoutMs = 60_000;
/** A thousand rows, or a rollout with all that its steps have told, are a tenth of it. */
const longestAnswer = 32 * 1024 * 1024;

/** How people see where the API is. */
export function shownPlace({ url }: Pick<ApiPlace, 'url'>): string {
  return `Landfall at ${baseOf(url)}`;
}

/** As it is behind a proxy on a path of its own; who has copied an address of the API itself means the same. */
function baseOf({ origin, pathname }: URL): string {
  return `${origin}${pathname.replace(/\/+$/, '').replace(/\/api\/v1$/, '')}`;
}

export function createAsk(place: ApiPlace): AskApi {
  const base = `${baseOf(place.url)}/api/v1`;
  return async <Answer>(question: ApiQuestion) => {
    const url = new URL(`${base}${question.path}`);
    for (const [name, value] of Object.entries(question.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const answer = jsonOf(await send(url, question, place), place);
    const checked = question.answer.safeParse(answer);
    if (checked.success) return answer as Answer;
    const [issue] = checked.error.issues;
    const found = issue === undefined ? '' : ` (${issue.path.join('.')}: ${issue.message})`;
    throw new Unreachable(
      `expected an answer of ${shownPlace(place)} as this command knows it, found another${found}: see that both have the same version`,
    );
  };
}

async function send(url: URL, { body, timeoutMs = usualTimeoutMs }: ApiQuestion, place: ApiPlace): Promise<HttpAnswer> {
  try {
    return await request({
      ...{ what: shownPlace(place), url, timeoutMs, longestAnswer },
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        ...whoAsks(place),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (!(error instanceof HttpFailure) && !(error instanceof BodyTooLarge)) throw error;
    throw new Unreachable(`${error.message}. ${whereToLook}`, { cause: error });
  }
}

const whereToLook = "See that it runs, and that LANDFALL_URL (or --url) is the address of its operators' listener";

function whoAsks({ token, as, operator }: ApiPlace): Readonly<Record<string, string>> {
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  const name = as ?? operator;
  // What is no header is left out: it is a claim only.
  return /^[\x20-\x7e]+$/.test(name) ? { 'landfall-operator': name } : {};
}

/** @throws OperationError where it is not what was asked for */
function jsonOf({ status, headers, text }: HttpAnswer, place: ApiPlace): unknown {
  const mediaType = headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() ?? 'nothing';
  if (status >= 300 && status < 400) throw redirected(headers.get('location'), place);
  const isProblem = mediaType === 'application/problem+json';
  if (!isProblem && (status !== 200 || mediaType !== 'application/json')) throw somebodyElse(status, mediaType, place);
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw somebodyElse(status, `${mediaType} that is none`, place);
  }
  if (isProblem) throw problemError(answer, status, place);
  return answer;
}

/** Nobody has said that the token may be shown there. */
function redirected(location: string | null, place: ApiPlace): Unreachable {
  const to = location === null ? null : URL.parse(location, place.url.href);
  const where = to === null ? 'elsewhere' : `to ${to.origin}`;
  return new Unreachable(
    `${shownPlace(place)} sends on ${where}, where nothing was asked: a login or another address is in between. ` +
      "Set LANDFALL_URL (or --url) to the address of the operators' listener itself",
  );
}

function somebodyElse(status: number, mediaType: string, place: ApiPlace): Unreachable {
  const at = shownPlace(place).replace('Landfall at ', '');
  if ([502, 503, 504].includes(status))
    return new Unreachable(
      `what is in front of Landfall at ${at} answered ${status}: Landfall does not run, or cannot be reached from there`,
    );
  return new Unreachable(
    `expected Landfall's API at ${at}, found ${mediaType.slice(0, 100)} with status ${status}: something else answers there, such as a ` +
      `login or a proxy. ${whereToLook}`,
  );
}
