import type { z } from 'zod';
import type { OneShotTest } from '../domain/build.ts';
import type { Complain } from '../settings/problem.ts';
import type { SecretCheck } from '../settings/scalars.ts';

/**
 * A kind of project: how a folder of a repository becomes an image. Each has a folder whose `index.ts` says this of it, and a line in the list
 * of projects. `Input` is what its schema makes of the configuration, `Settings` (JSON-safe) what a plan carries.
 */
export interface ProjectKind<Input = unknown, Settings extends object = object> {
  /** Its key in the configuration. */
  readonly kind: string;
  /** Its keys, as a message lists them. */
  readonly keys: string;
  schema(check: SecretCheck): z.ZodType<Input>;
  resolve(input: Input, complain: Complain): Settings;
  /** What builds of this kind have where the configuration says nothing. */
  readonly usual: {
    /** See `BuildPlan.tag`. */
    readonly tag: string;
    readonly path?: string;
    readonly platforms?: readonly string[];
    /** What a one-shot check runs, by the keys of that check. */
    readonly test?: OneShotTest;
  };
  /** @throws Refusal `BuildRefused` that says which file was expected to say what */
  read(folder: ProjectFolder, settings: Settings): Promise<BuildProject>;
}

/** A folder of a checked out commit. */
export interface ProjectFolder {
  /** Absolute: the root of the checkout. */
  readonly root: string;
  /** From there; `''`: the root itself. */
  readonly path: string;
}

/** How an image is built. Paths are relative to the root of the checkout. */
export interface BuildProject {
  readonly context: string;
  readonly dockerfile: string;
  /** The last stage where absent. */
  readonly target?: string;
  /** They become known to everybody who may pull: the provenance of the image has them. */
  readonly arguments: Readonly<Record<string, string>>;
  /** References, by the id that `RUN --mount=type=secret` names. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly version?: string;
  /** For people and outputs. */
  readonly facts: Readonly<Record<string, string>>;
}

/** The one place where a kind's settings have their types, as with the other kinds. */
export function defineProject<Input, Settings extends object>(kind: ProjectKind<Input, Settings>): ProjectKind {
  return kind;
}
