import { readBody } from '../http/client.ts';
import { type HttpSettings, unexpectedAnswer } from './http.ts';

/** Registries' errors are short. */
const errorLimit = 64 * 1024;

/**
 * Whether a 404 is the registry's own word, which has a JSON body with `errors` (OCI distribution specification). A proxy without its
 * registry, or a page about maintenance, is answered with 404 as well, and says nothing about images.
 * @returns true
 * @throws Error for any other 404: to be tried again
 */
export async function isNotThere(what: string, answer: Response, settings: HttpSettings): Promise<boolean> {
  const body = await readBody(answer, errorLimit, what, settings.timeoutMs);
  if (answer.headers.has('docker-distribution-api-version') || hasErrors(body.toString())) return true;
  const said = await unexpectedAnswer(what, new Response(body, answer), settings);
  throw new Error(
    `${said.message} (expected JSON with 'errors', as registries say that something is not there); it is asked again`,
  );
}

function hasErrors(text: string): boolean {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null && 'errors' in json && Array.isArray(json.errors);
  } catch {
    return false;
  }
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
