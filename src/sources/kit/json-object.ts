import { malformed } from '../../http/problem.ts';

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws Problem 400 */
export function requireObject(body: unknown): object {
  if (isObject(body)) return body;
  throw malformed('Expected a JSON object.');
}

/** JSON inside a text of JSON; undefined if it is none. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
