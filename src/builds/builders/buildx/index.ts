import type { z } from 'zod';
import { text } from '../../../settings/scalars.ts';
import { map, optional } from '../../../settings/wording.ts';
import { defineBuilder } from '../../builder.ts';

const schema = () =>
  map(
    {
      name: optional(
        text('the name of a builder', /^[A-Za-z][\w.-]*$/),
        'A builder of docker buildx ls. Default: the current one.',
      ),
    },
    "Docker's buildx, with the engine of this machine or a builder that has a name.",
  );

export const buildxBuilder = defineBuilder({
  kind: 'buildx',
  keys: 'name',
  byDefault: true,
  schema,
  resolve: (input: z.output<ReturnType<typeof schema>>) => input,
  async create(context) {
    const { createBuildx } = await import('./builder.ts');
    return createBuildx(context);
  },
});
