import type { z } from 'zod';
import type { Environment } from '../domain/environment.ts';
import type { Complain } from '../settings/problem.ts';
import type { SecretCheck } from '../settings/scalars.ts';
import type { BuildProject } from './project.ts';

/**
 * A kind of builder: what makes an image of a project. Each has a folder whose `index.ts` says this of it, and a line in the list of builders.
 */
export interface BuilderKind<Input = unknown, Settings extends object = object> {
  /** Its key in the configuration. */
  readonly kind: string;
  readonly keys: string;
  /** Used where the configuration names none; of one kind alone. */
  readonly byDefault?: true;
  schema(check: SecretCheck): z.ZodType<Input>;
  resolve(input: Input, complain: Complain): Settings;
  create(context: BuilderContext): Builder<Settings> | Promise<Builder<Settings>>;
}

/** What builders use of the process that they run in. */
export interface BuilderContext {
  /** Landfall's own environment: programs find Docker, their settings and their credentials by it. */
  readonly env: Environment;
  /** What relative paths of the configuration are relative to. */
  readonly baseDir: string;
}

export interface Builder<Settings extends object = object> {
  /**
   * The platforms whose programs its machine runs without emulation, the first being its own.
   * @throws Refusal `BuildRefused` where it cannot build for what is asked, with what to do; Error where it does not answer
   */
  native(settings: Settings, signal: AbortSignal): Promise<readonly string[]>;
  /**
   * Builds one platform into an OCI image layout, with its provenance. What BuildKit has cached is used again.
   * @throws Refusal `BuildFailed` with the last lines of what it said; Error where the builder itself is broken
   */
  build(work: BuildWork<Settings>): Promise<void>;
}

export interface BuildWork<Settings extends object> {
  readonly settings: Settings;
  readonly project: BuildProject;
  /** Absolute: the root of the checkout. */
  readonly root: string;
  readonly platform: string;
  /** Absolute: a folder that is not there yet. */
  readonly layout: string;
  /** Files with secrets, by their ids. */
  readonly secretFiles: Readonly<Record<string, string>>;
  /** Of the commit, in seconds since 1970: what is built says that it was made then, whenever that is. */
  readonly epochSeconds: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The one place where a kind's settings have their types, as with the other kinds. */
export function defineBuilder<Input, Settings extends object>(kind: BuilderKind<Input, Settings>): BuilderKind {
  return kind;
}
