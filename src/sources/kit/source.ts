import type { z } from 'zod';
import type { Log } from '../../http/errors.ts';
import type { SecretCheck } from '../../settings/scalars.ts';
import type { SecretResolver } from '../../settings/secrets.ts';
import type { Receiver } from './receiver.ts';

/** What receivers use of the process that they run in. */
export interface SourceContext {
  /** Turns a reference into its secret, at each call: its file may have been given a new one meanwhile. */
  readonly secrets: SecretResolver;
  /** What relative paths of the configuration are relative to. */
  readonly directory: string;
  readonly log: Log;
}

/** One source of pushes: how it is configured, and what receives it. */
export interface Source<Name extends string, Schema extends z.ZodType> {
  /** Its key in the configuration's `receivers`. */
  readonly name: Name;
  settings(check: SecretCheck): Schema;
  /** The receivers that the configuration asks for; none where it does not name this source. @throws Error where a secret is missing */
  open(settings: { readonly [Key in Name]?: z.output<Schema> | undefined }, context: SourceContext): readonly Receiver[];
}

export interface SourceDefinition<Name extends string, Schema extends z.ZodType> {
  readonly name: Name;
  /** What a user may say of it. The description begins with the path. */
  settings(check: SecretCheck): Schema;
  create(settings: z.output<Schema>, context: SourceContext): readonly Receiver[];
}

export function defineSource<Name extends string, Schema extends z.ZodType>(
  definition: SourceDefinition<Name, Schema>,
): Source<Name, Schema> {
  const { name, settings, create } = definition;
  return {
    name,
    settings,
    open: (all, context) => {
      const own = all[name];
      return own === undefined ? [] : create(own, context);
    },
  };
}
