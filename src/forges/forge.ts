import type { Octokit } from 'octokit';
import type { z } from 'zod';
import type { Diagnosed } from '../domain/diagnosis.ts';
import type { Environment } from '../domain/environment.ts';
import { Refusal } from '../domain/failures.ts';
import type { Log } from '../domain/log.ts';
import type { MergeOutcome, Proposal, ProposalState, RateLimited } from '../domain/outcomes.ts';
import type { ChangePlan, MergeMethod } from '../domain/plan.ts';
import type { CheckReport } from '../domain/proposal.ts';
import type { SecretCheck } from '../settings/scalars.ts';

/**
 * A kind of forge: where deployment repositories live. Each has a folder whose `index.ts` says this of it, and a line in the list of forges.
 * `Section` is what its schema makes of its section in the configuration, if it has one.
 */
export interface ForgeKind<Section = unknown> {
  /** The key of its section under `forge`. */
  readonly kind: string;
  /** Absent: it needs nothing in the configuration. */
  readonly section?: {
    schema(check: SecretCheck): z.ZodType<Section>;
    /** What to complain of where it is missing and this repository is named. */
    needed(repository: string): string;
  };
  /** Its proposals can be reviewed, by accounts that the configuration names for operators. */
  readonly reviews?: true;
  /** Whether a repository lives there, as it is written in the configuration. */
  accepts(repository: string): boolean;
  /** @param section undefined where it has none */
  create(context: ForgeContext, section: Section | undefined): Forge | Promise<Forge>;
}

/** What forges use of the process that they run in. */
export interface ForgeContext {
  /** A client of GitHub for `owner/name` whose errors are classified. @throws Refusal where GitHub is not configured */
  readonly clientFor: (repository: string) => Promise<Octokit>;
  /** Absolute: for what may be kept from one start to the next. */
  readonly data: string;
  /** Landfall's own environment: git finds its configuration, credential helpers and ssh keys by it. */
  readonly env: Environment;
  readonly log: Pick<Log, 'warn'>;
}

/** The one place where a kind's section has its type, as with the other kinds. */
export function defineForge<Section>(kind: ForgeKind<Section>): ForgeKind {
  return kind;
}

/**
 * @param made those that are configured, by kind
 * @returns finds the forge where a repository lives; it throws a Refusal `ForgeRefused` where there is none
 */
export function createForgeFor(kinds: readonly ForgeKind[], made: ReadonlyMap<string, Forge>): (repository: string) => Forge {
  return (repository) => {
    const kind = kinds.find(({ accepts }) => accepts(repository));
    const forge = kind && made.get(kind.kind);
    if (forge !== undefined) return forge;
    const needed = kind?.section?.needed(repository) ?? 'write it as a URL or path of a git remote';
    throw new Refusal('ForgeRefused', `nobody knows where '${repository}' is: ${needed}`);
  };
}

/**
 * A deployment repository's home, as far as steps need it. Every call may be repeated: it finds what an earlier call has already done.
 *
 * Errors: `Refusal` if the answer is no (credentials, no such repository, protected branch), `RateLimit` if the forge asks us to
 * wait, `BranchMoved` if somebody pushed in between; anything else is something broken, to be tried again.
 */
export interface Forge {
  /** The commit that a branch points to, or undefined if there is no such branch. */
  head(repository: string, branch: string): Promise<string | undefined>;

  /** The text (UTF-8) of a file at a commit, or undefined if there is none. */
  readFile(repository: string, commit: string, path: string): Promise<string | undefined>;

  /** What `head` has that `base` has not, and how far it is behind. Both are commits. */
  compare(repository: string, base: string, head: string): Promise<Comparison>;

  /** Every file that `head` has changed since it parted from `base`: all that merging it would bring. Both are commits. */
  changes(repository: string, base: string, head: string): Promise<Changes>;

  /**
   * A commit with the tree of another commit but for some files, and the branch moved (or, where `expectedHead` is absent, created) to
   * it: never by force, and only from `expectedHead`. @returns the new commit @throws BranchMoved
   */
  commitFiles(commit: FilesCommit): Promise<string>;

  /** Opens the change for the branch, or updates the one that is open. */
  openChange(change: ChangeRequest): Promise<Proposal>;

  /** Reports the results of the checks on a commit. Repeating a report changes nothing. */
  reportChecks(repository: string, head: string, checks: readonly CheckReport[]): Promise<void>;

  /**
   * The current state of a proposal.
   * @param own what it changes: on plain git, a commit of the base whose message says that it merged the proposal is believed only where it
   *   brings this. Absent: no such commit is
   */
  state(repository: string, proposal: Proposal, own?: OwnChange): Promise<Exclude<ProposalState, RateLimited>>;

  /**
   * Merges the very head that the proposal names, or says why not now. A merge that an earlier try made is found.
   * @throws Refusal `BranchConflict` if it would bring anything but the change of ours, `MergeRefused` if the forge does not let us,
   *   `HeadMoved` if the branch has another head
   */
  merge(merge: MergeRequest): Promise<MergeAnswer>;

  /** Deletes a branch of ours if it is still at `head`; no error if it is gone already. */
  deleteBranch(repository: string, branch: string, head: string): Promise<void>;

  /** Closes an open proposal without merging it. */
  close(repository: string, proposal: Proposal): Promise<void>;

  /** The newest commit of a branch that changed a file, with its message's first line: to tell people who changed it after us. */
  lastChange(repository: string, commit: string, path: string): Promise<Commit | undefined>;

  /** Whether we may do there what proposals need, as far as the forge tells. Changes nothing. @throws with what to do */
  diagnose?(repository: string): Promise<Diagnosed>;
  /** How git itself fetches the repository. */
  remote(repository: string): Promise<FetchedRemote>;
}

export interface FetchedRemote {
  /** A URL, or a path. */
  readonly url: string;
  /** What git needs of the environment to be let in; nobody else may see it. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Commit {
  readonly sha: string;
  readonly author: string;
  readonly message: string;
}

export interface MergeRequest {
  readonly repository: string;
  readonly proposal: Proposal;
  /** All that it may bring to the base. */
  readonly own: OwnChange;
  /** Absent: the first of squash, merge and rebase that the repository allows. */
  readonly method?: MergeMethod;
  /** The commit's first line, and the rest: its trailers name the rollout and the head that is merged, by which a retry finds the merge. */
  readonly title: string;
  readonly message: string;
}

/** `found`: it was merged before, by an earlier try or by a person. */
export type MergeAnswer = Exclude<MergeOutcome, RateLimited> & { readonly found?: true };

export interface Comparison {
  /** Oldest first. */
  readonly commits: readonly Commit[];
  /** How many commits `base` has that `head` has not. */
  readonly behindBy: number;
}

export interface Changes {
  /**
   * The commit that the two have in common. Absent if there is none, or more than one: then a merge may bring what no comparison of two
   * trees shows, and no file is listed.
   */
  readonly since?: string;
  /** By whole path. A renamed file is one that is gone and one that is new. */
  readonly files: readonly FileChange[];
  /** There is more than what is listed. */
  readonly more: boolean;
}

/** A path whose content, mode or kind changed. */
export interface FileChange {
  readonly path: string;
  /** git's mode: `100644`, `100755` (can be run), `120000` (a symbolic link), `160000` (a submodule). Absent if there was nothing. */
  readonly before?: string;
  /** The same afterwards. */
  readonly after?: string;
}

/** The one change that Landfall makes: of some files, whose modes stay. */
export interface OwnChange {
  readonly paths: readonly string[];
  /** Whether it makes the second text of the first, in one of these files. */
  makes(path: string, before: string, after: string): Promise<boolean>;
}

export interface FilesCommit {
  readonly repository: string;
  readonly branch: string;
  readonly expectedHead?: string;
  /** One or two; the first is the branch's own line. */
  readonly parents: readonly string[];
  /** The commit whose tree is taken. */
  readonly treeOf: string;
  readonly files: readonly FileText[];
  readonly message: string;
}

export interface FileText {
  readonly path: string;
  readonly text: string;
}

export interface ChangeRequest extends Pick<ChangePlan, 'repository' | 'base' | 'labels' | 'reviewers' | 'assignees'> {
  readonly branch: string;
  readonly head: string;
  readonly title: string;
  /** Markdown. */
  readonly body: string;
}

/** The text of a file. @param where for people: `FILE in REPOSITORY` @throws Refusal if it is no text, or a symbolic link */
export function textOf(bytes: Buffer, mode: string, where: string): string {
  if (mode === '120000') {
    const target = bytes.toString('utf8').slice(0, 200);
    throw new Refusal('EditRefused', `${where} is a symbolic link to ${target}: name that file in change.file`);
  }
  try {
    // A byte order mark is a part of the file, too.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Refusal('EditRefused', `${where} is not UTF-8 text: save it as UTF-8`, [], { cause });
  }
}

/** Somebody moved the branch between our read and our push; trying again helps, so this is retried. */
export class BranchMoved extends Error {
  constructor(repository: string, branch: string) {
    super(`branch ${branch} of ${repository} moved while we wrote to it; it is looked at again`);
    this.name = 'BranchMoved';
  }
}
