/** What a text of JSON says; undefined, which no JSON says, if it is none. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Undefined also for a member of what is no object. */
export function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

/** What a text of JSON may hold at most. */
export interface JsonLimits {
  /** Lists and objects in each other. */
  readonly levels: number;
  /** Of lists, and members of objects; absent: any number. */
  readonly items?: number;
}

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];

/**
 * Measures JSON in UTF-8 before anything is built from it: a few bytes more make an object or an error message of what looks at it. In UTF-8 no
 * byte of a longer character can be mistaken for one of these.
 * @returns what is expected of it and not so, `at most 64 nested levels`; undefined: it can be read
 */
export function excessOf(json: Uint8Array, { levels, items = Number.POSITIVE_INFINITY }: JsonLimits): string | undefined {
  let depth = 0;
  let found = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === quote) at = endOfString(json, at);
    else if (byte === comma && ++found >= items) return `at most ${items} items and members`;
    // Brackets and braces: [ and {, ] and }.
    else if ((byte === 0x5b || byte === 0x7b) && ++depth > levels) return `at most ${levels} nested levels`;
    else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return undefined;
}

function endOfString(json: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== quote) at += json[at] === backslash ? 2 : 1;
  return at;
}
