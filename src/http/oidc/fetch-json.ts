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
  // One time limit over headers and body: a server that trickles must not hold requests up.
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, { signal, redirect: 'manual', headers: { Accept: 'application/json' } });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`expected 200 from ${url}, found ${response.status}`);
    }
    return parse(await readBounded(response, bytes, url), url);
  } catch (error) {
    if (signal.aborted) throw new Error(`expected an answer from ${url} within ${timeoutMs} ms, found none`, { cause: error });
    if (error instanceof TypeError) throw new Error(`${url} cannot be reached: ${causeOf(error)}`, { cause: error });
    throw error;
  }
}

async function readBounded(response: Response, bytes: number, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > bytes) throw new Error(`expected at most ${bytes} bytes from ${url}, found more`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new Error(`expected JSON from ${url}, found something else`, { cause: error });
  }
}

/** `fetch failed` says nothing; what it wraps does. */
function causeOf({ message, cause }: Error): string {
  if (!(cause instanceof Error)) return message;
  return 'code' in cause ? String(cause.code) : cause.message;
}
