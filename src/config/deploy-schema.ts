import type { z } from 'zod';
import { hostName } from '../settings/scalars.ts';
import { map, oneOf } from '../settings/wording.ts';
import type { Kinds } from './kinds.ts';

/** How a stage may say that the image comes to run. All of it may come from a level above, so nothing is required here. */

export function deploySchema({ deploys }: Kinds) {
  const on = hostName
    .meta({ description: 'The host whose worker does it (LANDFALL_HOSTS there names it). Default: default.' })
    .exactOptional();
  // Of what is read there, only the kind itself knows the type.
  const kinds: Record<string, z.ZodExactOptional<z.ZodType>> = Object.fromEntries(
    deploys.map(({ kind, schema }) => [kind, schema.exactOptional()]),
  );
  return map({ on, ...kinds }, `How the image comes to run: one of ${oneOf(Object.keys(kinds), 'and')}.`);
}

export type DeployInput = z.output<ReturnType<typeof deploySchema>>;
