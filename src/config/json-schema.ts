import { z } from 'zod';
import type { Kinds } from './kinds.ts';
import { fileSchema } from './schema.ts';

/** JSON Schema (draft 2020-12) of `landfall.yaml`, for editors. */
export function configurationJsonSchema(kinds: Kinds): Record<string, unknown> {
  const schema = z.toJSONSchema(
    fileSchema(() => () => undefined, kinds),
    { target: 'draft-2020-12', io: 'input' },
  );
  const { $schema, ...rest } = schema;
  return { $schema, title: 'landfall.yaml', ...rest };
}
