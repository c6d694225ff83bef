import type { CheckOutcome, ConfirmOutcome, ImageIdentity, VerifyOutcome } from '../../domain/outcomes.ts';
import type { Plan } from '../../domain/plan.ts';
import type { StageStepInput } from './delivery.ts';

export interface VerifyInput {
  readonly plan: Plan;
  readonly image: ImageIdentity;
  /** The digest itself is asked for, whatever the tag points to by now: an operator wants this very image. */
  readonly byDigest?: boolean;
  /** An operator named the digest: where the tag points to something else, or to nothing, the digest itself is asked for. */
  readonly named?: boolean;
}

export interface VerifyActivities {
  /**
   * What the registry says of the image: truth is the registry, not the webhook. Where the digest is one child of the index that the tag
   * points to, the image goes on as that index.
   * @throws ApplicationFailure `NotInRegistry`, `NotAnImage`, `PlatformMissing`, `DigestMismatch` or `CredentialsRefused`
   */
  verify(input: VerifyInput): Promise<VerifyOutcome>;
  /** Whether the tag still points to the digest, cheaply: asked again before something is done that cannot be undone. */
  confirm(input: VerifyInput): Promise<ConfirmOutcome>;
}

export interface CheckInput extends Omit<StageStepInput, 'stage'> {
  /** The rollout that went first when the check was asked for. */
  readonly supersededBy?: string;
}

/** One activity for each kind of check, named after it, so that Temporal shows which one is at work. */
export interface CheckActivities {
  /** @throws ApplicationFailure of the check's own type where the image does not pass, with a list of `Evidence` as its detail */
  readonly [check: `check:${string}`]: (input: CheckInput) => Promise<CheckOutcome>;
}
