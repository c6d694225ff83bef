import type { MergeOutcome, Proposal, ProposalState, RateLimited } from '../domain/outcomes.ts';
import type { MergeMethod } from '../domain/plan.ts';

/**
 * Where a deployment repository lives, as far as steps need it. Two of them: GitHub, and any plain git remote. Every call may be
 * repeated: what it would do a second time, it finds done.
 *
 * Errors: `Refusal` where the answer is no (credentials, no such repository, protected branch), `RateLimit` where the forge asks us to
 * wait, `BranchMoved` where somebody pushed in between; anything else is something broken, to be tried again.
 */
export interface Forge {
  /** The commit that a branch points to, or undefined where there is no such branch. */
  head(repository: string, branch: string): Promise<string | undefined>;

  /** The text (UTF-8) of a file at a commit, or undefined where there is none. */
  readFile(repository: string, commit: string, path: string): Promise<string | undefined>;

  /** What `head` has that `base` has not, and how far it is behind. Both are commits. */
  compare(repository: string, base: string, head: string): Promise<Comparison>;

  /** Every file that `head` has changed since it parted from `base`: all that merging it would bring. Both are commits. */
  changes(repository: string, base: string, head: string): Promise<Changes>;

  /**
   * A commit with the tree of another commit but for one file, and the branch moved (or, where `expectedHead` is absent, created) to
   * it: never by force, and only from `expectedHead`.
   * @returns the new commit
   * @throws BranchMoved
   */
  commitFile(commit: FileCommit): Promise<string>;

  /** Opens the change for the branch, or updates the one that is open. */
  openChange(change: Change): Promise<Proposal>;

  /** Says on a commit what the checks said. Repeating the same says nothing new. */
  reportChecks(repository: string, head: string, checks: readonly CheckReport[]): Promise<void>;

  /**
   * Where a proposal stands now.
   * @param own what it changes: on plain git, a commit of the base whose message says that it merged the proposal is believed only where it
   *   brings this. Absent: no such commit is
   */
  standing(repository: string, proposal: Proposal, own?: OwnChange): Promise<Exclude<ProposalState, RateLimited>>;

  /**
   * Merges the very head that the proposal names, or says why not now. A merge that an earlier try made is found.
   * @throws Refusal `BranchConflict` where it would bring anything but the change of ours, `MergeRefused` where the forge does not let us,
   *   `HeadMoved` where the branch has another head
   */
  merge(merge: Merge): Promise<MergeAnswer>;

  /** Deletes a branch of ours where it still is at `head`; gone already is as good. */
  deleteBranch(repository: string, branch: string, head: string): Promise<void>;

  /** Closes an open proposal without merging it. */
  close(repository: string, proposal: Proposal): Promise<void>;

  /** The newest commit of a branch that changed a file: to tell people who was there after us. */
  lastChange(
    repository: string,
    commit: string,
    path: string,
  ): Promise<{ readonly sha: string; readonly author: string; readonly message: string } | undefined>;
}

export interface Merge {
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

/** `found`: it was merged when we came, by an earlier try or by a person. */
export type MergeAnswer = Exclude<MergeOutcome, RateLimited> & { readonly found?: true };

export interface Comparison {
  /** Oldest first. */
  readonly commits: readonly { readonly sha: string; readonly author: string; readonly message: string }[];
  /** How many commits `base` has that `head` has not. */
  readonly behindBy: number;
}

export interface Changes {
  /**
   * The commit that the two have in common. Absent where there is none, or more than one: then a merge may bring what no comparison of two
   * trees shows, and no file is listed.
   */
  readonly since?: string;
  /** By whole path. A renamed file is one that is gone and one that is new. */
  readonly files: readonly FileChange[];
  /** There is more than what is listed. */
  readonly more: boolean;
}

/** What stands at a path has another content, mode or kind. */
export interface FileChange {
  readonly path: string;
  /** git's mode: `100644`, `100755` (can be run), `120000` (a symbolic link), `160000` (a submodule). Absent where there was nothing. */
  readonly before?: string;
  /** The same afterwards. */
  readonly after?: string;
}

/** The one change that Landfall makes: of one file, whose mode stays. */
export interface OwnChange {
  readonly path: string;
  /** Whether it makes the second text of the first. */
  makes(before: string, after: string): Promise<boolean>;
}

export interface FileCommit {
  readonly repository: string;
  readonly branch: string;
  readonly expectedHead?: string;
  /** One or two; the first is the branch's own line. */
  readonly parents: readonly string[];
  /** The commit whose tree is taken. */
  readonly treeOf: string;
  readonly path: string;
  readonly text: string;
  readonly message: string;
}

export interface Change {
  readonly repository: string;
  readonly base: string;
  readonly branch: string;
  readonly head: string;
  readonly title: string;
  /** Markdown. */
  readonly body: string;
  readonly labels: readonly string[];
  readonly reviewers: readonly string[];
  readonly assignees: readonly string[];
}

export interface CheckReport {
  /** `landfall/scan` */
  readonly context: string;
  readonly state: 'success' | 'failure' | 'error' | 'pending';
  /** At most 140 characters. */
  readonly description: string;
}

/** Somebody else moved the branch between our look and our push; looking again helps, so this is tried again. */
export class BranchMoved extends Error {
  constructor(repository: string, branch: string) {
    super(`branch ${branch} of ${repository} moved while we wrote to it; it is looked at again`);
    this.name = 'BranchMoved';
  }
}
