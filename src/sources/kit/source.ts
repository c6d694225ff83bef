import type { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import type { Log } from '../../domain/log.ts';
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

/** Settings that the environment gives if the file says nothing; `problem`: it says only half of what is needed. */
export type FromEnvironment<Settings> = { readonly settings: Settings } | { readonly problem: string } | undefined;

/** A whole configuration that the environment stands for, if there is no file: for programs in whose place Landfall can be started. */
export interface DropIn {
  /** As in `landfall.yaml`. */
  readonly text: string;
  /** What Landfall does then, for people: a sentence. */
  readonly serves: string;
  /** What of the environment asks for it: `GH_TOKEN and a certificate`. */
  readonly because: string;
}

/** One source of pushes: how it is configured, and what receives it. */
export interface Source<Name extends string, Schema extends z.ZodType> {
  /** Its key in the configuration's `receivers`. */
  readonly name: Name;
  /** What a user may say of it. The description begins with the path. */
  settings(check: SecretCheck): Schema;
  /** Settings in one line, for the commented starter file. */
  readonly example?: string;
  fromEnvironment?(env: Environment): FromEnvironment<z.output<Schema>>;
  /** The path of the setting that asks for client certificates, which only a handshake or a proxy can bring; undefined if none does. */
  clientCertificateAt?(settings: z.output<Schema>): Path | undefined;
  dropIn?(env: Environment): DropIn | undefined;
  /** Webhooks of GitHub repositories and organizations that come to this path: GitHub is asked to send their failed deliveries again. */
  readonly gitHubWebhooks?: { readonly path: string; readonly events: readonly string[] };
  /** The receivers that the configuration asks for; none if it does not name this source. @throws Error if a secret is missing */
  open(settings: { readonly [Key in Name]?: z.output<Schema> | undefined }, context: SourceContext): readonly Receiver[];
}

/** Any of the sources; only its own methods know the type of its settings. */
export type AnySource = Source<string, z.ZodType>;

/** The receivers that the configuration asks for. @throws Error if one of them has no secret */
export function createReceivers(
  sources: readonly AnySource[],
  settings: Readonly<Record<string, unknown>>,
  context: SourceContext,
): readonly Receiver[] {
  return sources.flatMap((source) => source.open(settings, context));
}

export interface SourceDefinition<Name extends string, Schema extends z.ZodType> extends Omit<Source<Name, Schema>, 'open'> {
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
