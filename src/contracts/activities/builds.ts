import type {
  BuildPart,
  BuildSubject,
  BuildTarget,
  BuiltImage,
  BuiltPlatform,
  HandedOver,
  NotHere,
  PlatformEntry,
  PushedBuild,
  PushedPlatform,
  ReadTarget,
  TagAnswer,
} from '../../domain/build.ts';
import type { Digest, Tag } from '../../domain/image-reference.ts';
import type { Checked, RateLimited } from '../../domain/outcomes.ts';
import type { BuildCause, BuildSearch } from '../messages.ts';

export interface FoundBuilds {
  readonly kind: 'found';
  /** Full. */
  readonly commit: string;
  /** Of what is started, those that run already included. */
  readonly builds: readonly { readonly build: string; readonly run?: string; readonly wasRunning: boolean }[];
}

export interface BuildSearchActivities {
  /**
   * Finds what of a commit is to be built, and starts it.
   * @throws ApplicationFailure `BuildRefused` where there is no such commit, or nothing in it fits the path of a build that is named
   */
  startBuilds(input: BuildSearch): Promise<FoundBuilds | RateLimited>;
}

/** What every step of a build takes once it is known what is built. */
export interface BuildStepInput {
  readonly subject: BuildSubject;
  readonly target: BuildTarget;
}

export interface PublishInput extends BuildStepInput {
  /** By platform, in the order of the index. */
  readonly entries: readonly PlatformEntry[];
}

export interface HandOverInput extends BuildStepInput {
  readonly digest: Digest;
  readonly tags: readonly Tag[];
  readonly cause: BuildCause;
}

export interface BuildActivities extends BuildSearchActivities {
  /** @throws ApplicationFailure `BuildRefused` */
  readTarget(input: BuildSubject): Promise<ReadTarget | RateLimited>;
  askRegistry(input: BuildStepInput): Promise<TagAnswer | RateLimited>;
  /**
   * The index by its digest, then the tag, then `latest`; nothing of it where the tag came from somebody else meanwhile, and no `latest` where that
   * has a newer commit.
   */
  publishBuild(input: PublishInput): Promise<PushedBuild | RateLimited>;
  /** Starts the rollouts of the services that follow what was pushed. */
  handOver(input: HandOverInput): Promise<HandedOver>;
}

/** Of one platform, on the host where it is built. */
export interface PlatformInput extends BuildStepInput {
  readonly part: BuildPart;
}

export interface CheckBuiltInput extends PlatformInput {
  readonly image: BuiltImage;
  /** Of the check. */
  readonly check: string;
}

/** Done where the platform is built: what comes out stays on the disk of that host until it is pushed. */
export interface BuildHostActivities {
  /** Once built it is not built again for the same run. @throws ApplicationFailure `BuildFailed`, `BuildRefused`, `EmulationRejected` */
  buildPlatform(input: PlatformInput): Promise<BuiltPlatform | RateLimited>;
  /** @throws ApplicationFailure of the check's own type */
  checkBuilt(input: CheckBuiltInput): Promise<Checked | NotHere | RateLimited>;
  /** Its parts and itself, by their digests; no tag is touched. */
  pushPlatform(input: PlatformInput & { readonly image: BuiltImage }): Promise<PushedPlatform | RateLimited>;
  /** Removes what is left of the build on this host. */
  discardBuild(input: Readonly<Record<string, never>>): Promise<void>;
}
