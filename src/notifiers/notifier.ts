import type { Notice } from '../domain/notice.ts';
import type { NotifierPlan } from '../domain/plan.ts';

export type NotifierKind = NotifierPlan['kind'];
export type NotifierOf<Kind extends NotifierKind> = Extract<NotifierPlan, { readonly kind: Kind }>;

/** Ids at the target by which a later notice finds the message of an earlier one. JSON-safe, small. */
export type MessageIds = Readonly<Record<string, string>>;

/** One notice for one target. */
export interface Delivery<Kind extends NotifierKind = NotifierKind> {
  readonly notifier: NotifierOf<Kind>;
  readonly notice: Notice;
  /** Absent: nothing was sent there yet. */
  readonly thread?: MessageIds;
  readonly signal: AbortSignal;
  /** For what went wrong though the notice was sent; holds no secret. */
  readonly warn?: (message: string) => void;
}

/**
 * One way to tell people. It is called again where it broke half-way, with the same notice.
 *
 * Errors: `Refusal` (`NoticeRefused`, `SecretMissing`, `CredentialsRefused`, ...) where this notice will never be taken; `RateLimit`; anything
 * else is something broken, to be tried again. No error says an address or a key of a target: both are secrets.
 */
export interface Notifier<Kind extends NotifierKind = NotifierKind> {
  /** @returns what later notices need to find this one; undefined: nothing new */
  send(delivery: Delivery<Kind>): Promise<MessageIds | undefined>;
}

/** @throws Refusal `SecretMissing`. @returns plain text as it is */
export type Secrets = (reference: string) => string;
