import type { z } from 'zod';
import type { Log } from '../../http/errors.ts';
import type { Environment } from '../../settings/environment.ts';
import type { Path } from '../../settings/problem.ts';
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

/** Settings that the environment gives where the file says nothing; `problem`: it says only half of what is needed. */
export type FromEnvironment<Settings> = { readonly settings: Settings } | { readonly problem: string } | undefined;

/** One source of pushes: how it is configured, and what receives it. */
export interface Source<Name extends string, Schema extends z.ZodType> {
  /** Its key in the configuration's `receivers`. */
  readonly name: Name;
  settings(check: SecretCheck): Schema;
  fromEnvironment?(env: Environment): FromEnvironment<z.output<Schema>>;
  /** Where its settings ask for client certificates, which only a handshake or a proxy can bring; undefined where they do not. */
  clientCertificateAt?(settings: z.output<Schema>): Path | undefined;
  /** The receivers that the configuration asks for; none where it does not name this source. @throws Error where a secret is missing */
  open(settings: { readonly [Key in Name]?: z.output<Schema> | undefined }, context: SourceContext): readonly Receiver[];
}

/** Any of the sources: what it was configured with, only its own methods know. */
export type AnySource = Source<string, z.ZodType>;

/** The receivers that the configuration asks for. @throws Error where one of them has no secret */
export function createReceivers(
  sources: readonly AnySource[],
  settings: Readonly<Record<string, unknown>>,
  context: SourceContext,
): readonly Receiver[] {
  return sources.flatMap((source) => source.open(settings, context));
}

export interface SourceDefinition<Name extends string, Schema extends z.ZodType>
  extends Pick<Source<Name, Schema>, 'name' | 'settings' | 'fromEnvironment' | 'clientCertificateAt'> {
  create(settings: z.output<Schema>, context: SourceContext): readonly Receiver[];
}

export function defineSource<Name extends string, Schema extends z.ZodType>(
  definition: SourceDefinition<Name, Schema>,
): Source<Name, Schema> {
  const { create, ...described } = definition;
  return {
    ...described,
    open: (all, context) => {
      const own = all[definition.name];
      return own === undefined ? [] : create(own, context);
    },
  };
}
