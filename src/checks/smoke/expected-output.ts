import { z } from 'zod';
import { excessOf, jsonIn, memberOf } from '../../domain/json.ts';
import { text } from '../../settings/scalars.ts';
import { expecting, map } from '../../settings/wording.ts';

/** What a program that runs to its end has to print. */

const value = z.union([z.string(), z.number(), z.boolean()], expecting('text, a number, true or false'));
const members = z.record(text('the name of a member'), value);

export const expectedEnd = z.union(
  [z.enum(['exit', 'json']), map({ json: members }, 'One line of its output is a JSON object with these members.')],
  expecting('exit, json or a map such as { json: { type: SPEC } }'),
);

export type JsonMembers = z.output<typeof members>;

/** Exit code 0, and with `json` a line of output that is a JSON object with these members, perhaps among others. */
export interface ExpectedEnd {
  readonly json?: JsonMembers;
}

export function resolveExpectedEnd(said: z.output<typeof expectedEnd>): ExpectedEnd {
  if (said === 'exit') return {};
  return said === 'json' ? { json: {} } : said;
}

/** Nobody has approved what prints it. */
const limits = { levels: 64, items: 100_000 };

export function printsObject(output: string, expected: JsonMembers): boolean {
  const wanted = Object.entries(expected);
  return output.split('\n').some((line) => {
    if (!line.trimStart().startsWith('{') || excessOf(Buffer.from(line), limits) !== undefined) return false;
    const object = jsonIn(line);
    return object !== undefined && wanted.every(([name, value]) => memberOf(object, name) === value);
  });
}

/** For messages. */
export function describeObject(expected: JsonMembers): string {
  return Object.keys(expected).length === 0 ? 'a JSON object' : `a JSON object with ${JSON.stringify(expected).slice(1, -1)}`;
}
