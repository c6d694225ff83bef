/**
 * Every way a step can be answered "no". An activity throws these as non-retryable `ApplicationFailure`s of this type; anything else that it
 * throws means that something is broken, and is tried again.
 */
export const failureTypes = [
  'NotInRegistry',
  'NotAnImage',
  'ImageTooLarge',
  'DigestMismatch',
  'PlatformMissing',
  'CredentialsRefused',
  'SecretMissing',
  'FileNotFound',
  'TargetNotFound',
  'EditRefused',
  'ForgeRefused',
  'BranchConflict',
  /** A required check of the proposal failed. */
  'CheckFailed',
  'MergeRefused',
  /** Somebody pushed to our branch: its head is not what was checked and approved. */
  'HeadMoved',
  /** The base branch does not hold our image any more, so a rollback has nothing to put back. */
  'BaseMovedOn',
  /** Nothing was changed: the target cannot be deployed like this. */
  'DeployRefused',
  /** A deploy would change more than the image, and a person has to say whether it may. Nothing was changed. */
  'OtherChanges',
  /** Something was changed, and it did not work. */
  'DeployFailed',
  /** A later turn has been here already. */
  'TurnPassed',
  'Unhealthy',
  'UnhealthyBefore',
  'NothingBefore',
  /** A target of notices does not take one, and will not take it later either. */
  'NoticeRefused',
  /** A commit cannot be built: what it says of itself is not what the build expects. */
  'BuildRefused',
] as const;

/** Each kind of check has one of its own, which says more than that a check failed: `ScanRejected`. */
export type FailureType = (typeof failureTypes)[number] | `${string}Failed` | `${string}Rejected`;

/** Whether a value is one of a list of names. */
export function isOneOf<Name extends string>(names: readonly Name[], value: string): value is Name {
  return names.some((name) => name === value);
}

/** No decision of an operator can change these: the rollout ends `rejected`. */
export const finalFailureTypes: readonly FailureType[] = ['NotInRegistry', 'NotAnImage'];

/** The answer is no. The activity boundary turns it into a non-retryable `ApplicationFailure` with the same type, message and details. */
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

/** The other side asks us to wait. The activity boundary answers `RateLimited`. */
export class RateLimit extends Error {
  readonly until: Date;

  constructor(message: string, until: Date) {
    super(message);
    this.name = 'RateLimit';
    this.until = until;
  }
}
