import { request } from '../../platform/http/client.ts';

/** What an issuer may take, and send. The documents of GitHub, GitLab and Google are a few KiB. */
export interface FetchLimits {
  readonly timeoutMs: number;
  readonly bytes: number;
}

/**
 * A JSON document of an issuer.
 * @throws Error where it does not come in time, is too large, moved, or no JSON; the message says which
 */
export async function fetchJson(url: string, { timeoutMs, bytes }: FetchLimits): Promise<unknown> {
  const headers = { accept: 'application/json' };
  const { status, text } = await request({
    what: url,
    method: 'GET',
    url: new URL(url),
    headers,
    timeoutMs,
    longestAnswer: bytes,
  });
  if (status !== 200) throw new Error(`expected 200 from ${url}, found ${status}`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`expected JSON from ${url}, found something else`, { cause: error });
  }
}
