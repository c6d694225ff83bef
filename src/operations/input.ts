import { z } from 'zod';
import { isTag } from '../domain/image-reference.ts';
import { namePattern } from '../settings/scalars.ts';
import { wordIssue } from '../settings/wording.ts';
import { InvalidInput } from './errors.ts';

/** Who asks for something to be done, and what proves that it is they. */
export interface Actor {
  readonly name: string;
  /** Hash of their token, `sha256:HEX`: decisions are signed with it, and checked by the worker. Absent: the name is only a claim. */
  readonly tokenHash?: string;
}

/** @throws InvalidInput with one line for each problem */
export function parseInput<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const parsed = schema.safeParse(input, { error: wordIssue });
  if (parsed.success) return parsed.data;
  throw new InvalidInput(parsed.error.issues.map(({ message }) => message).join('\n'));
}

/** The name of a service, whether or not there is one. That of a tag which goes its own way ends in it. */
export const serviceInput = z
  .string()
  .refine(isServiceName, { error: ({ input }) => `expected the name of a service, found '${String(input)}'` });

function isServiceName(text: string): boolean {
  const [name = '', ...tags] = text.split('@');
  return namePattern.test(name) && tags.length < 2 && tags.every(isTag);
}

/** Why somebody decides so. A blank one is none. */
export const reasonInput = z
  .string()
  .optional()
  .transform((text) => text?.trim() || undefined);
