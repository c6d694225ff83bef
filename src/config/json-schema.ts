import { z } from 'zod';
import { fileSchema } from './schema.ts';

/** JSON Schema (draft 2020-12) of `landfall.yaml`, for editors. */
export function configurationJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(
    fileSchema(() => () => undefined),
    { target: 'draft-2020-12', io: 'input' },
  );
  const { $schema, ...rest } = schema;
  return { $schema, title: 'landfall.yaml', ...rest };
}
