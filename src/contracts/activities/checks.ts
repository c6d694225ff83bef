import type {
  ConfirmOutcome,
  ImageIdentity,
  IntegrationSummary,
  RateLimited,
  ScanSummary,
  SmokeSummary,
  VerifiedImage,
  VerifyOutcome,
} from '../../domain/outcomes.ts';
import type { Plan } from '../../domain/plan.ts';

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

export interface ScanInput {
  readonly plan: Plan;
  readonly image: VerifiedImage;
}

export interface ScanActivities {
  /**
   * Scans every wanted platform of an image, keeps reports and SBOMs as artifacts, and judges the findings by the plan.
   * @throws ApplicationFailure `ScanRejected` with the ScanSummary as its detail, `PlatformMissing`, `CredentialsRefused`
   */
  scan(input: ScanInput): Promise<ScanSummary | RateLimited>;
}

export interface SmokeInput {
  readonly plan: Plan;
  readonly image: VerifiedImage;
}

/** The step that runs the image once, and says whether it came up. */
export interface SmokeActivities {
  smoke(input: SmokeInput): Promise<SmokeSummary | RateLimited>;
}

export interface IntegrateInput {
  /** One with an `integration`. */
  readonly plan: Plan;
  readonly image: VerifiedImage;
}

/** The step that runs the image together with what it needs, and a test against it. */
export interface IntegrateActivities {
  /** @throws ApplicationFailure `IntegrationFailed`, with `IntegrationFailure` as its detail */
  integrate(input: IntegrateInput): Promise<IntegrationSummary | RateLimited>;
}
