import { z } from 'zod';
import type { Complaint, Path } from './problem.ts';

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

/** The words of a schema: what it takes, and what was found in its place. */
export function expecting(what: string, show: (value: unknown) => string = showValue) {
  return { error: ({ input }: { readonly input?: unknown }) => `expected ${what}, found ${show(input)}` };
}

/** For `superRefine`: whatever `problemOf` says of a value is wrong with it. */
export function refusing<Value>(problemOf: (value: Value) => string | undefined) {
  return (value: Value, context: z.core.$RefinementCtx<Value>): void => {
    const message = problemOf(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  };
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
  if (issue.code === 'invalid_type')
    return issue.expected === 'string'
      ? `expected text, found ${showInPlaceOfText(issue.input)}`
      : `expected ${typeNames[issue.expected] ?? issue.expected}, ${found}`;
  if (issue.code === 'invalid_value') return `expected ${oneOf(issue.values.map(String))}, ${found}`;
  if (issue.code === 'too_big') return `expected at most ${issue.maximum}, ${found}`;
  if (issue.code !== 'too_small') return undefined;
  if (issue.origin === 'array') return `expected at least ${issue.minimum} in the list`;
  if (issue.origin === 'string') return `expected at least ${issue.minimum} characters`;
  return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}, ${found}`;
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

/** A setting that may be left out. */
export function optional<Schema extends z.ZodType>(schema: Schema, description: string) {
  return z.exactOptional(schema.describe(description));
}

/** What each kind may say under its own key. Of what is read there, only the kind itself knows the type. */
export function byKey(schemas: readonly (readonly [key: string, schema: z.ZodType | undefined])[]) {
  return Object.fromEntries(schemas.flatMap(([key, schema]) => (schema ? [[key, schema.exactOptional()]] : [])));
}

/** A map, or the one word in its place. */
export function orWord<Word extends string, Schema extends z.core.$ZodType>(word: Word, schema: Schema, what: string) {
  return z.union([z.literal(word), schema], expecting(`${word} or a map (${what})`));
}

/** One, or a list of them. */
export function oneOrMany<Schema extends z.core.$ZodType>(schema: Schema, what: string) {
  return z.union([schema, z.array(schema).min(1)], expecting(`${what} or a list of them`));
}

function wordUnknownKey(key: string, known: readonly string[]): string {
  const guess = nearest(key, known);
  const hint = guess === undefined ? '' : ` (did you mean ${guess}?)`;
  return `expected ${oneOf(known)}, found the unknown key ${showValue(key)}${hint}`;
}

/** The schema's issues as complaints: one per unknown key, and for alternatives those of the one that was meant. */
export function complaintsOf(issues: readonly z.core.$ZodIssue[], prefix: Path = []): Complaint[] {
  return issues.flatMap((issue) => {
    const path = [...prefix, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))];
    if (issue.code === 'unrecognized_keys') return unknownKeys(issue, path);
    if (issue.code === 'invalid_union') return union(issue, path);
    const inside = issue.code === 'invalid_key' ? issue.issues[0] : undefined;
    return [{ path, message: (inside ?? issue).message }];
  });
}

/** `map` words each unknown key in a line of its own. */
function unknownKeys(issue: z.core.$ZodIssueUnrecognizedKeys, path: Path): Complaint[] {
  const lines = issue.message.split('\n');
  return issue.keys.map((key, index) => ({ path: [...path, key], message: lines[index] ?? issue.message }));
}

/** Somebody who wrote a map meant the map; where the value fits no alternative at all, the union's own words name them. */
function union(issue: z.core.$ZodIssueInvalidUnion, path: Path): Complaint[] {
  const meant = issue.errors
    .filter((alternative) => alternative.length > 0 && !alternative.some(isOtherType))
    .sort((a, b) => a.length - b.length)[0];
  return meant === undefined ? [{ path, message: issue.message }] : complaintsOf(meant, path);
}

function isOtherType(issue: z.core.$ZodIssue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');
}

/** `a, b or c` */
export function oneOf(values: readonly string[], last: 'or' | 'and' = 'or'): string {
  return values.length < 2 ? (values[0] ?? 'nothing') : `${values.slice(0, -1).join(', ')} ${last} ${values[values.length - 1]}`;
}

/** The candidate that somebody who typed `word` most likely meant, or undefined if none is close. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const distances = candidates.map((candidate) => editDistance(word.toLowerCase(), candidate.toLowerCase()));
  const least = Math.min(...distances);
  const best = candidates[distances.indexOf(least)];
  // A third of the longer word: `sevices` is `services`, but `deploy` is not `defaults`.
  return best !== undefined && least * 3 <= Math.max(word.length, best.length) ? best : undefined;
}

/** Levenshtein's distance, with the swap of two neighbours counted as one edit. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const differs = Number(a[row - 1] !== b[column - 1]);
      let cost = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + differs);
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
