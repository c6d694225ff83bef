import { masked } from '../domain/inert-text.ts';

/** Payloads of registries are shorter. */
export const longestShown = 4_000;

const secretNames = 'token|secret|password|passwd|authorization|signature|api_?key|private_?key|callback_?url';

/** A member of JSON whose name says that its value is secret. */
const secretMember = new RegExp(String.raw`("[^"]{0,60}(?:${secretNames})[^"]{0,60}"\s*:\s*)"(?:[^"\\]|\\.)*"?`, 'gi');

/** Such a field of a form, or of the query of a URL. Whoever has the code of a login has the login. */
const secretField = new RegExp(
  String.raw`((?:^|[&?])(?:code|[^=&?\s"]{0,60}(?:${secretNames}|assertion|code_?verifier)[^=&?\s"]{0,60})=)[^&\s"]*`,
  'gi',
);

/** An object of Kubernetes, whose every value is secret. */
const secretObject = /"kind"\s*:\s*"Secret"/;

/**
 * The beginning of a body, as the log shows it at level debug. What Landfall knows as secret is masked in all of the log; what only its
 * name tells, here.
 * @returns undefined for an empty body
 */
export function shownBody(body: Buffer): string | undefined {
  if (body.length === 0) return undefined;
  const text = textOf(body.subarray(0, longestShown));
  if (text === undefined) return `[${body.length} bytes]`;
  if (secretObject.test(text)) return masked;
  const shown = text.replace(secretMember, `$1"${masked}"`).replace(secretField, `$1${masked}`);
  // Half of a secret would not be known as one.
  return body.length > longestShown ? `${shown.replace(/[^\s",]*$/, '')}…` : shown;
}

/** Undefined for what is compressed, or no text at all. A character that is cut off at the end is left out. */
function textOf(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return undefined;
  }
}
