import { z } from 'zod';

/** How the configuration's problems are worded: what was expected, what was found. */

const longestShown = 60;

/** A value as it may stand in a message. Never call it with a secret. */
export function showValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return `'${value.length > longestShown ? `${value.slice(0, longestShown)}…` : value}'`;
  return String(value);
}

/** The same where text was expected: YAML reads 1.10 as the number 1.1, so text has to be quoted. */
export function showInPlaceOfText(value: unknown): string {
  const isPlain = typeof value === 'number' || typeof value === 'boolean';
  return isPlain ? `${value} (put it in quotes)` : showValue(value);
}

const typeNames: Readonly<Record<string, string>> = {
  object: 'a map',
  record: 'a map',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

/** Words for the schema's own issues; whatever has words of its own keeps them. */
export function wordIssue(issue: z.core.$ZodRawIssue): string | undefined {
  const found = `found ${showValue(issue.input)}`;
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'string'
        ? `expected text, found ${showInPlaceOfText(issue.input)}`
        : `expected ${typeNames[issue.expected] ?? issue.expected}, ${found}`;
    case 'invalid_value':
      return `expected ${oneOf(issue.values.map(String))}, ${found}`;
    case 'too_small':
      return issue.origin === 'array' || issue.origin === 'string'
        ? `expected at least ${issue.minimum} ${issue.origin === 'array' ? 'in the list' : 'characters'}`
        : `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}, ${found}`;
    case 'too_big':
      return `expected at most ${issue.maximum}, ${found}`;
    default:
      return undefined;
  }
}

/** A map with these keys and no others. The words for several unknown keys are one line each, in the order of the keys. */
export function map<Shape extends z.core.$ZodLooseShape>(shape: Shape, description: string) {
  const known = Object.keys(shape);
  return z
    .strictObject(shape, {
      error: (issue) =>
        issue.code === 'unrecognized_keys' ? issue.keys.map((key) => wordUnknownKey(key, known)).join('\n') : undefined,
    })
    .meta({ description });
}

/** A map that can be switched off. */
export function orOff<Schema extends z.core.$ZodType>(schema: Schema, what: string) {
  return orWord('off', schema, what);
}

/** A map, or the one word in its place. */
export function orWord<Word extends string, Schema extends z.core.$ZodType>(word: Word, schema: Schema, what: string) {
  return z.union([z.literal(word), schema], {
    error: (issue) => `expected ${word} or a map (${what}), found ${showValue(issue.input)}`,
  });
}

/** One, or a list of them. */
export function oneOrMany<Schema extends z.core.$ZodType>(schema: Schema, what: string) {
  return z.union([schema, z.array(schema).min(1)], {
    error: (issue) => `expected ${what} or a list of them, found ${showValue(issue.input)}`,
  });
}

function wordUnknownKey(key: string, known: readonly string[]): string {
  const guess = nearest(key, known);
  const hint = guess === undefined ? '' : ` (did you mean ${guess}?)`;
  return `expected ${oneOf(known)}, found the unknown key ${showValue(key)}${hint}`;
}

/** `a, b or c` */
export function oneOf(values: readonly string[], last: 'or' | 'and' = 'or'): string {
  return values.length < 2 ? (values[0] ?? 'nothing') : `${values.slice(0, -1).join(', ')} ${last} ${values[values.length - 1]}`;
}

/** The candidate that somebody who typed `word` most likely meant, or undefined if none is close. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (best === undefined || distance < best.distance) best = { candidate, distance };
  }
  // A third of the longer word: `sevices` is `services`, but `deploy` is not `defaults`.
  return best !== undefined && best.distance * 3 <= Math.max(word.length, best.candidate.length) ? best.candidate : undefined;
}

/** Levenshtein's distance, with the swap of two neighbours counted as one edit. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1));
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) cost = Math.min(cost, at(beforeLast, column - 2) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return at(last, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
