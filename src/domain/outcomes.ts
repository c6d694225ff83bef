import type { BuildOutcome } from './build.ts';
import type { Evidence } from './evidence.ts';
import type { Digest, Repository, Tag } from './image-reference.ts';
import type { CheckPlan } from './plan.ts';

/** What steps answer. JSON-safe and at most a few KiB, because it is kept in workflow histories; what is larger is an artifact, named by digest. */

/** The other side asked us to wait until then (ISO 8601, UTC). */
export interface RateLimited {
  readonly kind: 'rate-limited';
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
  /** Each platform's image, without attestations. One entry for an image without an index. */
  readonly platforms: readonly PlatformDigests[];
  /** Compressed bytes (config and layers) of all platforms listed above. */
  readonly size: number;
  /** ISO 8601; from the image configuration of the first platform. */
  readonly created?: string;
  /** Labels `org.opencontainers.image.revision` and `org.opencontainers.image.source`. */
  readonly revision?: string;
  readonly source?: string;
}

/** Of the image manifest, and of the image configuration. */
export interface PlatformDigests {
  readonly platform: string;
  readonly digest: Digest;
  readonly config?: Digest;
}

export type VerifyOutcome =
  /** `tagIs`: what the tag points to, if an operator named another digest. */
  { readonly kind: 'verified'; readonly image: VerifiedImage; readonly tagIs?: Digest } | Moved | RateLimited;

export type ConfirmOutcome = { readonly kind: 'confirmed' } | Moved | RateLimited;

/** The tag points to something else by now. */
interface Moved {
  readonly kind: 'moved';
  readonly digest: Digest;
}

/** The image was not checked: a newer one of its service goes first. */
export interface Superseded {
  readonly kind: 'superseded';
  /** The rollout of the newer one. */
  readonly by: string;
}

export type CheckOutcome = Checked | Superseded | RateLimited;

/** A check let the image through. `text` is one sentence. */
export interface Checked {
  readonly kind: 'checked';
  readonly text: string;
  readonly evidence: readonly Evidence[];
}

export type DispatchOutcome = { readonly kind: 'dispatched'; readonly repository: string; readonly event: string } | RateLimited;

/** A pull request, or a branch of plain git, which knows none. */
export type Proposal = ProposedChange &
  ({ readonly kind: 'pull-request'; readonly number: number } | { readonly kind: 'branch'; readonly number?: never });

/** What the places of a change said and say, one value per place, in their order. */
export interface ManifestValues {
  /** As written in the file, without quotes. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** The same with the quotes that they have in the file: what is put back byte for byte. Absent if they have none. */
  readonly written?: { readonly before: readonly string[]; readonly after: readonly string[] };
  /** How many of them each file of the change has, in their order. Absent: it has one file. */
  readonly perFile?: readonly number[];
}

/** What depends on the file is absent if a forge has just opened it. */
interface ProposedChange extends Partial<ManifestValues> {
  /** Where a person sees it: the pull request, or `REMOTE#BRANCH` for a branch. */
  readonly url: string;
  readonly branch: string;
  readonly base: string;
  /** The commit that was proposed. */
  readonly head: string;
  /** The commit of the base branch that it was made from. */
  readonly baseCommit?: string;
  /** The head brings more than the change that Landfall has computed: people committed to the branch. */
  readonly foreign?: true;
}

/** `unchanged`: the base branch has it already. `outdated`: it has a later tag by the service's own order, and nothing is downgraded by itself. */
export type ProposeOutcome =
  | { readonly kind: 'proposed'; readonly proposal: Proposal }
  | { readonly kind: 'unchanged'; readonly base: string; readonly head: string }
  | { readonly kind: 'outdated'; readonly tag: string }
  | RateLimited;

/** What one check of the plan said, as far as a proposal tells it; `skipped` carries the waiver. */
export type CheckResult = Pick<CheckPlan, 'kind' | 'title'> & { readonly outcome: Checked | Skipped };

export interface Skipped {
  readonly kind: 'skipped';
  readonly by: string;
  readonly reason: string;
}

/** What the followed tags point to now; a tag that the registry does not know is left out. */
export type ResolveOutcome = { readonly kind: 'found'; readonly images: readonly ImageIdentity[] } | RateLimited;

/** The state of a proposal at its forge. */
export type ProposalState =
  | {
      readonly kind: 'open';
      /** What the branch has now: ours, unless somebody pushed to it. */
      readonly head: string;
      /** Required checks of that head, by name. GitHub without branch protection: every check that is there counts. */
      readonly pending: readonly string[];
      readonly failing: readonly string[];
      readonly reviews: readonly Review[];
      /**
       * `ready`: can be merged now. `behind`: the base demands to be merged in first. `conflicting`: cannot be merged as it is. `waiting`:
       * something that is required is missing (see `missing`). `unknown`: the forge is still working it out.
       */
      readonly mergeable: 'ready' | 'behind' | 'conflicting' | 'waiting' | 'unknown';
      /** What is missing, for people: `review required`, `check build`. */
      readonly missing?: string;
      /** The base takes changes only by its merge queue. */
      readonly queued: 'no' | 'required' | 'in-queue';
    }
  /** An approval may come after the merge. */
  | {
      readonly kind: 'merged';
      readonly commit: string;
      readonly by?: string;
      readonly at?: string;
      readonly reviews?: readonly Review[];
    }
  | { readonly kind: 'closed'; readonly by?: string }
  | RateLimited;

/** The newest review of one person that approves or asks for changes, and the commit that was reviewed. */
export interface Review {
  readonly by: string;
  /** Id of the account. */
  readonly byId?: number;
  readonly state: 'approved' | 'changes-requested';
  readonly commit: string;
  readonly at: string;
}

/** `merged`: `commit` is what the base branch got. `not-yet`: the reason may pass, look again. `queued`: the merge queue has it. */
export type MergeOutcome =
  | { readonly kind: 'merged'; readonly commit: string; readonly by?: string }
  | { readonly kind: 'not-yet'; readonly reason: string }
  | { readonly kind: 'queued' }
  | RateLimited;

/** The repository says what it said before ours: proposed, or found so. If somebody changed it since, it is refused. */
export type RevertOutcome = Exclude<ProposeOutcome, { readonly kind: 'outdated' }>;

/** One container or compose service, by its name, as it runs. */
export interface RunningImage {
  readonly name: string;
  /** The image as its container was configured with: `repository:tag@digest`, `repository:tag`, ... */
  readonly reference: string;
  /** A registry's, from the image's RepoDigests: that of the service's repository if it has one, else the only one. */
  readonly digest?: Digest;
  /** Local id of the image, `sha256:...`: enough to start it again on this host, and no proof of anything. */
  readonly imageId?: string;
}

/** One look at whether something is healthy. `at` is ISO 8601, UTC. */
export interface Reading {
  readonly at: string;
  readonly healthy: boolean;
  /** For people: `http https://x/health answered 503`; at most 300 characters. */
  readonly text: string;
  readonly tookMs: number;
}

/** A reading as a chart shows it. */
export type ReadingPoint = Pick<Reading, 'at' | 'healthy' | 'tookMs'>;

/** What a deploy changes besides the image. It names no values but harmless ones: what is rendered may hold secrets. */
export interface OtherChanges {
  /** `web: command changed`, `web: environment.DB_URL added`, `volume data: driver changed`; at most 20, and how many are left out. */
  readonly changes: readonly string[];
  readonly more?: number;
  /** Who brought them, newest first; at most 10. Empty if nobody knows, such as without a repository. */
  readonly commits: readonly { readonly commit: string; readonly author: string; readonly subject: string }[];
  /** The same for the same changes: what a person said yes to. */
  readonly fingerprint: string;
}

/** What ran before the change. Kept, because it cannot be found out after a crash. */
export interface StageSnapshot {
  readonly kind: 'snapshot';
  /** Empty if nothing runs yet, or if the stage does not deploy. */
  readonly running: readonly RunningImage[];
  /** Absent if nothing is watched. */
  readonly reading?: Reading;
  /** Absent if the deploy would change nothing else, or if nobody asked. */
  readonly others?: OtherChanges;
}

/** What runs now, of what this deploy was about. `changed` is false if the wanted digest ran already. */
export interface Deployed {
  readonly kind: 'deployed';
  readonly changed: boolean;
  readonly running: readonly RunningImage[];
  /** For people: `recreated web-1, web-2`. */
  readonly text: string;
  /** What else people have to know, such as that a rollback could restore the image only. */
  readonly note?: string;
}

export interface Watched {
  readonly kind: 'watched';
  readonly readings: number;
  readonly failed: number;
  readonly slowestMs: number;
  /** From the beginning of the watch to the first good reading. */
  readonly healthyAfterMs: number;
  /** What proved that it is this digest; `none` if nothing was there to prove it. */
  readonly proof: 'container' | 'deployment' | 'probe' | 'none';
  readonly last: Reading;
  /** The newest readings, oldest first. Absent: a worker of an earlier version watched. */
  readonly recent?: readonly ReadingPoint[];
}

/** What came out of a step. `ready`: nothing but the merge itself is missing. */
export type StepOutcome =
  | VerifyOutcome
  | ConfirmOutcome
  | Checked
  | DispatchOutcome
  | ProposeOutcome
  | MergeOutcome
  | StageSnapshot
  | Deployed
  | Watched
  | BuildOutcome
  | { readonly kind: 'ready' };

/** Detail of an `Unhealthy` failure. */
export interface Unhealthy extends Pick<Watched, 'readings' | 'failed' | 'slowestMs' | 'recent'> {
  /** The failed readings that decided, oldest first, at most five. */
  readonly failures: readonly Reading[];
  /** Last 50 log lines of a container, at most 4 KiB. */
  readonly log?: string;
}
