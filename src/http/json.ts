import { malformed } from './problem.ts';

/** Far more than any registry nests, and far from what could exhaust a stack. */
const deepest = 64;

const quote = 0x22;
const backslash = 0x5c;

/**
 * JSON text in UTF-8 (RFC 8259). Nesting is measured on the bytes, before anything is built from them.
 * @throws Problem 400
 */
export function parseJson(raw: Buffer): unknown {
  if (nestsDeeperThan(raw, deepest)) throw malformed(`Expected JSON of at most ${deepest} nested levels.`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw)) as unknown;
  } catch (error) {
    // Only what the two parsers say about their input; their messages quote it, so they are not passed on.
    if (error instanceof SyntaxError || error instanceof TypeError) throw malformed('Expected a body that is JSON in UTF-8.');
    throw error;
  }
}

/** Counts brackets outside strings. In UTF-8 no byte of a longer character can be mistaken for one of these. */
function nestsDeeperThan(raw: Buffer, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < raw.length; at++) {
    const byte = raw[at];
    if (inString) {
      if (byte === backslash) at++;
      else if (byte === quote) inString = false;
    } else if (byte === quote) {
      inString = true;
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > limit) return true;
    } else if (byte === 0x5d || byte === 0x7d) {
      depth--;
    }
  }
  return false;
}
