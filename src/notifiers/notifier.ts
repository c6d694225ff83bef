import type { Octokit } from 'octokit';
import type { z } from 'zod';
import type { Diagnosed } from '../domain/diagnosis.ts';
import type { Notice } from '../domain/notice.ts';
import type { NoticeEvent, NotifierPlan } from '../domain/plan.ts';
import type { SecretCheck } from '../settings/scalars.ts';
import type { SecretResolver } from '../settings/secrets.ts';

/** A way to tell people. `Input` is what its schema makes of the configuration, `Settings` (JSON-safe) what a plan carries. */
export interface NotifierKind<Input = unknown, Settings extends object = object> {
  /** Its key in an entry of `notify`. */
  readonly kind: string;
  /** What it is told of where an entry names no events. Absent: what all are told of. */
  readonly usualEvents?: readonly NoticeEvent[];
  /** Why it needs `forge.github`, for people: `Deployments are made there`. Absent: it does not. */
  readonly needsGitHub?: string;
  schema(check: SecretCheck): z.ZodType<Input>;
  /** Of `settings`, secrets (addresses with tokens in them, passwords, keys) are references. */
  resolve(input: Input): Pick<NotifierPlan, 'updates'> & { readonly settings: Settings };
  /** What is right in its settings, and worth knowing: for `landfall config check`. */
  note?(settings: Settings): string | undefined;
  create(context: NotifierContext): Notifier<Settings> | Promise<Notifier<Settings>>;
}

/** What notifiers use of the process that they run in. */
export interface NotifierContext {
  readonly secrets: SecretResolver;
  /** A client of GitHub for `owner/name` whose errors are classified. @throws Refusal where GitHub is not configured */
  readonly clientFor: (repository: string) => Promise<Octokit>;
}

/** The one place where a kind's settings have their types: whoever asks a kind for something hands back what it came up with itself. */
export function defineNotifier<Input, Settings extends object>(kind: NotifierKind<Input, Settings>): NotifierKind {
  return kind;
}

/** Ids at the target by which a later notice finds the message of an earlier one. JSON-safe, small. */
export type MessageIds = Readonly<Record<string, string>>;

/** One notice for one target. */
export interface Delivery<Settings extends object = object> {
  readonly target: Settings;
  readonly notice: Notice;
  /** Absent: nothing was sent there yet. */
  readonly thread?: MessageIds;
  readonly signal: AbortSignal;
  /** For what went wrong though the notice was sent; holds no secret. */
  readonly warn?: (message: string) => void;
}

/** One that a worker can use. It is called again where it broke half-way, with the same notice. */
export interface Notifier<Settings extends object = object> {
  /**
   * @returns what later notices need to find this one; undefined: nothing new
   * @throws Refusal where this notice will never be taken; RateLimit; any other error: it is tried again. No error says an address or a
   *   key of a target: both are secrets
   */
  send(delivery: Delivery<Settings>): Promise<MessageIds | undefined>;
  /** Whether the target is there and takes ours, as far as it tells without a message. @throws with what to do */
  diagnose?(target: Settings, signal: AbortSignal): Promise<Diagnosed>;
}
