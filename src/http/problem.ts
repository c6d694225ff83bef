import { STATUS_CODES } from 'node:http';
import type { RequestOutcome } from '../domain/audit.ts';

/**
 * A request that cannot be answered as its sender hoped. Thrown wherever that is learned; `answerErrors` turns it into a response.
 * The detail is shown to the sender: it says what was expected and what to do, and repeats nothing that was sent.
 */
export class Problem extends Error {
  readonly status: number;
  readonly outcome: RequestOutcome;
  readonly headers: Readonly<Record<string, string>>;
  /** What its body has besides, such as a type and a title of its own. */
  readonly members: Readonly<Record<string, unknown>>;
  #body: string | undefined;
  #rawHeaders: readonly string[] | undefined;

  constructor(
    status: number,
    outcome: RequestOutcome,
    detail: string,
    headers: Readonly<Record<string, string>> = {},
    members: Readonly<Record<string, unknown>> = {},
  ) {
    // Strangers can make thousands a second, and nobody reads where: a stack would cost more than the rest of the answer.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(detail);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'Problem';
    this.status = status;
    this.outcome = outcome;
    this.headers = headers;
    this.members = members;
  }

  /** What its sender is shown; written once, however many are shown it. */
  get body(): string {
    this.#body ??= problemText(this);
    return this.#body;
  }

  /** All headers of its answer, a name and a value in turns, as Node writes them fastest; made once, too. */
  get rawHeaders(): readonly string[] {
    this.#rawHeaders ??= Object.entries({
      ...commonHeaders,
      ...this.headers,
      'Content-Type': problemMediaType,
      'Content-Length': String(Buffer.byteLength(this.body)),
    }).flat();
    return this.#rawHeaders;
  }

  /** The same with the status code that this sender expects. */
  withStatus(status: number | undefined): Problem {
    return status === undefined ? this : new Problem(status, this.outcome, this.message, this.headers, this.members);
  }
}

/** Of every answer. */
export const commonHeaders = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' } as const;
export const problemMediaType = 'application/problem+json';

/** RFC 9457. Without a type of its own it is `about:blank`: the status says what kind of problem it is, the detail the rest. */
export function problemText({
  status,
  message: detail,
  members = {},
}: Pick<Problem, 'status' | 'message'> & Partial<Pick<Problem, 'members'>>): string {
  return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail, ...members });
}

/** Something that is needed does not answer now. */
export function unavailable(detail: string, retryAfterSeconds = 5): Problem {
  return new Problem(503, 'unavailable', detail, { 'Retry-After': String(retryAfterSeconds) });
}

/** The input is not what the path takes. */
export function malformed(detail: string): Problem {
  return new Problem(400, 'malformed', detail);
}
