import type { Digest, Repository, Tag } from './image-reference.ts';
import type { CheckPlan, NotifierPlan } from './plan.ts';

/**
 * How images are built from the commits of a repository, resolved from the configuration. A build keeps the plan that it began with.
 * JSON-safe; secrets are references.
 */
export interface BuildPlan {
  /** Its name; with `*` where each folder that fits `source.path` is a build of its own. */
  readonly name: string;
  readonly source: BuildSource;
  /** A repository of a registry, with `*` for the name of the folder. */
  readonly image: string;
  readonly project: { readonly kind: string; readonly settings: object };
  readonly builder: { readonly kind: string; readonly settings: object };
  /** At least one. */
  readonly parts: readonly BuildPart[];
  /** Programs of a platform may run by emulation while its image is built. */
  readonly emulates: boolean;
  /** The tag: text with `{version}`, `{commit}` (its first 12 digits) and `{branch}`. */
  readonly tag: string;
  /** Whether `latest` is moved to what is pushed; `release`: unless the version is a candidate, which has `rc` in it. */
  readonly latest: 'never' | 'always' | 'release';
  /** What each platform's image has to pass before anything is pushed. */
  readonly checks: readonly CheckPlan[];
  /** Of one platform. */
  readonly timeoutMs: number;
  /** How long a blocked step waits for a decision. */
  readonly decideWithinMs: number;
  readonly notify?: readonly NotifierPlan[];
}

/** Where it is built from. */
export interface BuildSource {
  /** `owner/name` at GitHub, or a git remote. */
  readonly repository: string;
  readonly branch: string;
  /** A folder from the root, `''` for the root itself; `*` stands for any name. */
  readonly path: string;
}

/** One platform of an image, and where it is built. */
export interface BuildPart {
  /** `os/arch` or `os/arch/variant`. */
  readonly platform: string;
  /** The host whose worker does it; absent: the one that Landfall itself runs on. */
  readonly host?: string;
}

/** What whoever starts a build may ask for beside what the plan says. */
export interface BuildOptions {
  /** Built and checked, not pushed. */
  readonly dryRun?: boolean;
  /** Built and pushed whatever the registry has. Not together with `dryRun`. */
  readonly force?: boolean;
  /** No rollout begins with what is pushed. */
  readonly pushOnly?: boolean;
  readonly tag?: Tag;
  /** Absent: as the plan says. */
  readonly movesLatest?: boolean;
  /** In place of the plan's tag: `VERSION-dev.COMMIT10`, or `VERSION`, which moves `latest` too where it is no candidate. */
  readonly release?: 'pre-release' | 'main-release';
}

/** A program that is run to its end to see whether an image works. */
export interface OneShotTest {
  readonly run: readonly string[];
  /** Members of a JSON object that has to be one line of its output. */
  readonly json: Readonly<Record<string, string>>;
}

/** What is built: found in the source at a commit. */
export interface BuildTarget {
  /** Of the build, with the name of the folder in place of `*`. */
  readonly name: string;
  /** From the root of the repository; `''`: the root. */
  readonly folder: string;
  /** Full. */
  readonly commit: string;
  readonly image: Repository;
  readonly tag: Tag;
  readonly movesLatest: boolean;
  /** What the project says of itself, for people and for outputs: `type`, `version`, `baseImage`. */
  readonly facts: Readonly<Record<string, string>>;
}

/** What is done about an image that the registry has, or does not have. */
export interface PushPlan {
  readonly builds: boolean;
  readonly pushes: boolean;
  /** For people. */
  readonly why: string;
}

/** The decision table of Airbyte's action. `dryRun` and `force` together are refused before. */
export function planPush(exists: boolean, { dryRun = false, force = false }: BuildOptions): PushPlan {
  if (dryRun) return { builds: true, pushes: false, why: 'a dry run: it is built and checked, and not pushed' };
  if (force) return { builds: true, pushes: true, why: 'forced: it is built and pushed, whatever the registry has' };
  if (exists) return { builds: false, pushes: false, why: 'the registry has it already, so there is nothing to do' };
  return { builds: true, pushes: true, why: 'the registry does not have it: it is built and pushed' };
}

/** What a tag is made of. */
export interface TagFacts {
  readonly version: string | undefined;
  /** Full. */
  readonly commit: string;
  readonly branch: string;
}

/** @returns the text of the tag, which may be no valid one, or the name of the fact that it lacks; and whether `latest` is moved to it */
export function planTag(
  { tag: rule, latest }: Pick<BuildPlan, 'tag' | 'latest'>,
  { tag, movesLatest, release }: BuildOptions,
  { version, commit, branch }: TagFacts,
): { readonly tag: string; readonly movesLatest: boolean } | { readonly lacks: string } {
  const chosen =
    release === 'pre-release' ? `{version}-dev.${commit.slice(0, 10)}` : release === 'main-release' ? '{version}' : rule;
  const facts: Readonly<Record<string, string | undefined>> = {
    version,
    commit: commit.slice(0, 12),
    branch: branch.replace(/[^\w.-]+/g, '-'),
  };
  const lacks = tag === undefined && Object.keys(facts).find((name) => chosen.includes(`{${name}}`) && facts[name] === undefined);
  if (lacks) return { lacks };
  const text = tag ?? chosen.replace(/\{(version|commit|branch)\}/g, (_, name: string) => facts[name] ?? '');
  // A release candidate is for those who ask for it.
  const isCandidate = version?.includes('rc') ?? false;
  const byRule =
    release === 'pre-release' ? false : release === 'main-release' || latest === 'release' ? !isCandidate : latest === 'always';
  return { tag: text, movesLatest: (movesLatest ?? byRule) && text !== 'latest' };
}

/** An image of one platform that was built and is not in the registry yet. */
export interface BuiltImage {
  readonly platform: string;
  /** Of its manifest. */
  readonly digest: Digest;
  /** Of the configuration and all layers, compressed. */
  readonly size: number;
}

/** What an index says of one image and of what is attested of it, as manifests are named there. JSON-safe. */
export interface PlatformEntry {
  readonly image: object;
  readonly attestation?: object;
}

/** What the steps of a build answer. */
export type BuildOutcome = ReadTarget | TagAnswer | BuiltPlatform | NotHere | PushedPlatform | PushedBuild | HandedOver;

export interface ReadTarget {
  readonly kind: 'read';
  readonly target: BuildTarget;
}

export interface TagAnswer {
  readonly kind: 'asked';
  /** What the tag points to; absent where it is not there. */
  readonly digest?: Digest;
}

export interface BuiltPlatform {
  readonly kind: 'built';
  readonly image: BuiltImage;
}

/** The machine where it was built cannot run it. */
export interface NotHere {
  readonly kind: 'not-here';
}

export interface PushedPlatform {
  readonly kind: 'uploaded';
  readonly entry: PlatformEntry;
  /** Of what was not there yet. */
  readonly sentBytes: number;
}

export interface PushedBuild {
  readonly kind: 'pushed';
  /** What the tag points to. */
  readonly digest: Digest;
  /** What was moved to it; none where the tag came from somebody else meanwhile, and was left as it is. */
  readonly tags: readonly Tag[];
  /** The commit of the image that `latest` points to, where that is newer than the one that was built: `latest` was left there. */
  readonly newerLatest?: string;
}

/** Behind what was pushed, for people; empty where `latest` was moved, or not to be. */
export function latestThatStays(newerLatest: string | undefined): string {
  if (newerLatest === undefined) return '';
  return `; latest stays at the newer commit ${newerLatest.slice(0, 12)} (--push-latest moves it all the same)`;
}

export interface HandedOver {
  readonly kind: 'handed-over';
  /** Workflow ids. */
  readonly rollouts: readonly string[];
}

/** A name or an image of a plan, with the name of a folder in place of `*`. */
export function ofFolder(text: string, folder: string): string {
  // A text as the replacement would have a meaning for $.
  return text.replace('*', () => folder.slice(folder.lastIndexOf('/') + 1));
}

/** What is to be built, and what its steps begin with. */
export interface BuildSubject {
  readonly plan: BuildPlan;
  /** Of the build itself: the name of the plan, with that of the folder in place of `*`. */
  readonly name: string;
  /** From the root of the repository; `''`: the root. */
  readonly folder: string;
  /** Full. */
  readonly commit: string;
  readonly branch: string;
  readonly options: BuildOptions;
}
