/**
 * Every way a step can be answered "no". An activity throws these as non-retryable `ApplicationFailure`s of this type; anything
 * else that it throws means that something is broken, and is tried again.
 */
export const failureTypes = [
  'NotInRegistry',
  'NotAnImage',
  'DigestMismatch',
  'PlatformMissing',
  'CredentialsRefused',
  'SecretMissing',
  'ScanRejected',
  'SmokeFailed',
  'FileNotFound',
  'TargetNotFound',
  'EditRefused',
  'ForgeRefused',
  'BranchConflict',
] as const;

export type FailureType = (typeof failureTypes)[number];

/** No decision of an operator can change these: the rollout ends `rejected`. */
export const finalFailureTypes: readonly FailureType[] = ['NotInRegistry', 'NotAnImage'];

/**
 * The answer is no. Adapters throw it where they learn it; the activity boundary turns it into a non-retryable
 * `ApplicationFailure` with the same type, message and details.
 */
export class Refusal extends Error {
  readonly type: FailureType;
  /** JSON-safe, a few KiB at most: kept in the history. */
  readonly details: readonly unknown[];

  constructor(type: FailureType, message: string, details: readonly unknown[] = [], options?: ErrorOptions) {
    super(message, options);
    this.name = type;
    this.type = type;
    this.details = details;
  }
}

/** The other side asks us to wait until a given time. Adapters throw it; the activity boundary answers `RateLimited`. */
export class RateLimit extends Error {
  readonly until: Date;

  constructor(message: string, until: Date) {
    super(message);
    this.name = 'RateLimit';
    this.until = until;
  }
}
