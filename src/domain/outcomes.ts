import type { Digest, Repository, Tag } from './image-reference.ts';
import type { Severity } from './plan.ts';

/**
 * What steps answer. All of it is JSON-safe and at most a few KiB, because it is kept in workflow histories; what is larger is an
 * artifact, named by digest.
 */

/** The other side asked us to wait; the workflow sleeps until then and asks again. */
export interface RateLimited {
  readonly kind: 'rate-limited';
  /** ISO 8601, UTC. */
  readonly until: string;
}

/** The one image that a rollout is about, from verify to the end. `digest` is what the tag points to: a manifest or an index. */
export interface ImageIdentity {
  readonly repository: Repository;
  readonly tag: Tag;
  readonly digest: Digest;
}

export interface VerifiedImage extends ImageIdentity {
  readonly mediaType: string;
  /** The image manifest of each platform; attestations are left out. One entry for an image without an index. */
  readonly platforms: readonly { readonly platform: string; readonly digest: Digest }[];
  /** Compressed bytes (config and layers) of all platforms listed above. */
  readonly size: number;
  /** ISO 8601; from the image configuration of the first platform. */
  readonly created?: string;
  /** Label `org.opencontainers.image.revision`. */
  readonly revision?: string;
  /** Label `org.opencontainers.image.source`. */
  readonly source?: string;
}

export type VerifyOutcome =
  | { readonly kind: 'verified'; readonly image: VerifiedImage }
  /** The tag points to something else by now. */
  | { readonly kind: 'moved'; readonly digest: Digest }
  | RateLimited;

export type ConfirmOutcome = { readonly kind: 'confirmed' } | { readonly kind: 'moved'; readonly digest: Digest } | RateLimited;

export interface Finding {
  readonly kind: 'vulnerability' | 'secret';
  readonly id: string;
  readonly severity: Severity;
  /** Package name, or the file that holds the secret. */
  readonly where: string;
  readonly installed?: string;
  readonly fixed?: string;
  readonly title?: string;
  readonly platform: string;
}

export interface ScanSummary {
  readonly kind: 'scanned';
  /** Findings by severity, before the policy, each counted once however many platforms have it. */
  readonly counts: Readonly<Record<Severity, number>>;
  /** The ten worst that the policy does not ignore, worst first. */
  readonly worst: readonly Finding[];
  /** How many findings fail the policy: 0 where the scan passed. */
  readonly failing: number;
  /** How many findings an `ignore` entry or `ignoreUnfixed` set aside. */
  readonly ignored: number;
  readonly platforms: readonly string[];
  /** When the vulnerability database was made, ISO 8601. */
  readonly database?: string;
  /** The report was made a moment ago with the same database and was used again. */
  readonly reused: boolean;
  /** Paths in the artifacts folder. */
  readonly artifacts: readonly string[];
}

export interface SmokeSummary {
  readonly kind: 'smoked';
  readonly platform: string;
  /** What proved it ready: `http`, `tcp`, `exec`, `healthcheck`, `stayUp`. */
  readonly readyBy: string;
  readonly readyAfterMs: number;
  /** Last 50 log lines, at most 4 KiB. */
  readonly log: string;
}

/** Detail of a `SmokeFailed` failure. */
export interface SmokeFailure {
  readonly platform: string;
  readonly exitCode?: number;
  readonly outOfMemory?: boolean;
  /** Last 50 log lines, at most 4 KiB. */
  readonly log: string;
}

export type DispatchOutcome = { readonly kind: 'dispatched'; readonly repository: string; readonly event: string } | RateLimited;

export interface Proposal {
  /** Where a person looks at it: the pull request, or `REMOTE#BRANCH` for plain git. */
  readonly url: string;
  /** Pull request number; absent for plain git. */
  readonly number?: number;
  readonly branch: string;
  readonly base: string;
  /** The commit that was proposed. */
  readonly head: string;
}

export type ProposeOutcome =
  | { readonly kind: 'proposed'; readonly proposal: Proposal }
  /** The base branch has it already. */
  | { readonly kind: 'unchanged'; readonly base: string; readonly head: string }
  /** The base branch has a later tag by the service's own order; Landfall never downgrades by itself. */
  | { readonly kind: 'outdated'; readonly tag: string }
  | RateLimited;

/** What the checks said, as far as the proposal tells it: absent means not configured, `skipped` carries the waiver. */
export interface CheckResults {
  readonly scan?: ScanSummary | Skipped;
  readonly smoke?: SmokeSummary | Skipped;
}

export interface Skipped {
  readonly kind: 'skipped';
  readonly by: string;
  readonly reason: string;
}

/** What the followed tags point to now; a tag that the registry does not know is left out. */
export type LookUpOutcome = { readonly kind: 'found'; readonly images: readonly ImageIdentity[] } | RateLimited;
