import type { Context } from 'koa';
import { z } from 'zod';
import { parseJson, readBody, requireMediaType } from '../../../http/body.ts';
import { InvalidInput } from '../../../operations/index.ts';
import { complaintsOf, wordIssue } from '../../../settings/wording.ts';

/** What a request says, as the schemas of its route read it. */

const limits = { bytes: 64 * 1024, timeoutMs: 5_000 };

/** @throws Problem 400, 413, 415; InvalidInput */
export async function readJson<Schema extends z.ZodType>(context: Context, schema: Schema): Promise<z.output<Schema>> {
  requireMediaType(context.headers, { mediaTypes: ['application/json'], mediaTypeAdvice: 'The API takes JSON.' });
  return read(schema, parseJson(await readBody(context.req, context.res, limits)), 'body');
}

/** @throws InvalidInput with one line for each problem */
export function read<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string): z.output<Schema> {
  const parsed = schema.safeParse(value, { error: wordIssue });
  if (parsed.success) return parsed.data;
  const lines = complaintsOf(parsed.error.issues).map(({ path, message }) => [where, ...path].join('.').concat(`: ${message}`));
  throw new InvalidInput(lines.join('\n'));
}

/** A query is text: what the schema wants to be a number, a yes or no, or a list, is read as one. @throws InvalidInput */
export function readQuery<Schema extends z.ZodObject>(query: URLSearchParams, schema: Schema): z.output<Schema> {
  const said: Record<string, unknown> = {};
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    const kind = kindOf(Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined);
    if (values.length > 1 && kind !== 'array')
      throw new InvalidInput(`query.${name}: expected it once, found it ${values.length} times`);
    said[name] = kind === 'array' ? values : readAs(kind, values[0] ?? '');
  }
  return read(schema, said, 'query');
}

function readAs(kind: string, text: string): unknown {
  if (kind === 'number') return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
  if (kind === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  return text;
}

/** Beneath what makes it optional, or gives it a default. */
function kindOf(schema: unknown): string {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodExactOptional) return kindOf(schema.unwrap());
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return kindOf(schema.unwrap());
  if (schema instanceof z.ZodArray) return 'array';
  if (schema instanceof z.ZodNumber) return 'number';
  return schema instanceof z.ZodBoolean ? 'boolean' : 'text';
}
