import type { ServerResponse } from 'node:http';

/** What goes wrong with the next requests, instead of or after their being answered. One of the first four. */
export interface Fault {
  /** The answer has this status and a body that is no JSON, as that of a proxy in between. */
  readonly status?: number;
  /** No answer: the connection stays open until the client gives up or the emulator is stopped. */
  readonly hang?: boolean;
  /** The connection is cut: without an answer, or (`within`) in the middle of the answer's body. */
  readonly cut?: boolean | 'within';
  /** `primary`: 403 with `x-ratelimit-reset`; `secondary`: 429 with `retry-after`. */
  readonly rateLimit?: 'primary' | 'secondary';
  /** How long a rate limit lasts; 60 unless said otherwise. */
  readonly seconds?: number;
  /** The request takes effect, and only its answer is lost. A cut within the answer always is of this kind. */
  readonly afterwards?: boolean;
  readonly matching?: (method: string, path: string) => boolean;
  /** How many requests; 1 unless said otherwise. */
  readonly times?: number;
}

/** The faults that are still to happen, first come first served. */
export class Faults {
  readonly #waiting: { fault: Fault; left: number }[] = [];

  add(fault: Fault): void {
    this.#waiting.push({ fault, left: fault.times ?? 1 });
  }

  /** The fault of this request, used up by it. */
  take(method: string, path: string): Fault | undefined {
    const index = this.#waiting.findIndex(({ fault }) => fault.matching?.(method, path) ?? true);
    const found = this.#waiting[index];
    if (found === undefined) return undefined;
    found.left -= 1;
    if (found.left === 0) this.#waiting.splice(index, 1);
    return found.fault;
  }
}

/** Lets it go wrong. @param answer what would have been sent, for a cut within it. @returns the status that was sent, 0 for none */
export function happen(fault: Fault, response: ServerResponse, answer: string): number {
  if (fault.hang) return 0;
  if (fault.cut === 'within') {
    response.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(answer) });
    response.write(answer.slice(0, Math.floor(answer.length / 2)), () => response.destroy());
    return 0;
  }
  if (fault.cut) {
    response.destroy();
    return 0;
  }
  if (fault.rateLimit) return rateLimited(fault, response);
  const status = fault.status ?? 500;
  response.writeHead(status, { 'content-type': 'text/html' }).end(`<html><h1>${status}</h1></html>`);
  return status;
}

function rateLimited({ rateLimit, seconds = 60 }: Fault, response: ServerResponse): number {
  const primary = rateLimit === 'primary';
  const status = primary ? 403 : 429;
  const reset = Math.ceil(Date.now() / 1000 + seconds);
  const headers = primary
    ? { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(reset) }
    : { 'retry-after': String(seconds) };
  const message = primary ? 'API rate limit exceeded for user ID 1.' : 'You have exceeded a secondary rate limit.';
  const body = JSON.stringify({ message, documentation_url: 'https://docs.github.com/rest' });
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(body);
  return status;
}
