/** One way to authenticate that a server offers, from its `WWW-Authenticate` header (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** Node takes no longer ones by itself, and some patterns take their time. */
const longestHeader = 16 * 1024;

/** A scheme of its own, or one with its first parameter, or a further parameter; values are tokens or quoted strings. */
const partPattern =
  /[\s,]*(?:(?<scheme>[\w!#$%&'*+.^`|~-]+)(?=\s+[\w-]|\s*,|\s*$)(?!\s*=)\s*)?(?:(?<name>[\w-]+)\s*=\s*(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<token>[^\s,"]*)))?/gy;

/** The challenges in the order of the header; what cannot be read ends the list, because nothing after it can be trusted. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  for (const match of header.slice(0, longestHeader).matchAll(partPattern)) {
    const { scheme, name, quoted, token } = match.groups ?? {};
    if (scheme === undefined && name === undefined) break;
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    const current = challenges.at(-1);
    if (name === undefined || current === undefined) continue;
    current.parameters[name.toLowerCase()] = quoted === undefined ? (token ?? '') : quoted.replace(/\\(.)/g, '$1');
  }
  return challenges;
}

/** A base for addresses that come without one; never asked. */
const anyBase = 'http://registry.invalid';

/**
 * The query (`?n=…&last=…`) of the next page from a `Link` header (RFC 8288), or undefined if this is the last one. Only the query is
 * taken: registries behind a proxy often name a host or path there that cannot be reached.
 */
export function nextPage(header: string | null): string | undefined {
  for (const [, address, parameters] of (header ?? '').slice(0, longestHeader).matchAll(/<([^<>]*)>([^<]*)/g)) {
    if (!/;\s*rel\s*=\s*"?next"?/i.test(parameters ?? '') || !URL.canParse(address ?? '', anyBase)) continue;
    const { search } = new URL(address ?? '', anyBase);
    return search === '' ? undefined : search;
  }
  return undefined;
}

/**
 * When a count of requests begins anew, in milliseconds since 1970: by `RateLimit-Reset` in seconds, or since 1970 as GitLab has it, else by
 * `X-RateLimit-Reset` in seconds since 1970, as GitHub has it. Undefined where neither says so; it may be over already.
 * @see https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
export function limitReset(headers: { get(name: string): string | null | undefined }, nowMs: number): number | undefined {
  const reset = headers.get('ratelimit-reset')?.trim() ?? '';
  if (/^\d+$/.test(reset)) return Number(reset) * 1_000 + (reset.length < 10 ? nowMs : 0);
  const resetAtMs = Number(headers.get('x-ratelimit-reset') ?? Number.NaN) * 1_000;
  return Number.isNaN(resetAtMs) ? undefined : resetAtMs;
}

/** How long to wait where a server limits us without saying for how long. */
const defaultWaitMs = 60_000;
/** Docker Hub counts in windows of six hours; longer than a day is a mistake, not a limit. */
const longestWaitMs = 24 * 3_600_000;

/** When `Retry-After` (seconds or a date: RFC 9110, 10.2.3) is over: in 1 s to 1 day, and in a minute if it is missing or unreadable. */
export function retryAfter(header: string | null, nowMs: number): Date {
  const text = header?.trim() ?? '';
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  const bounded = Number.isNaN(waitMs) ? defaultWaitMs : Math.min(Math.max(waitMs, 1_000), longestWaitMs);
  return new Date(nowMs + bounded);
}
