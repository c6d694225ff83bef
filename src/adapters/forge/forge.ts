import type { Proposal } from '../../domain/outcomes.ts';

/**
 * Where a deployment repository lives, as far as `propose` needs it. Two of them: GitHub, and any plain git remote. Every call may be
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
}

export interface Comparison {
  /** Oldest first. */
  readonly commits: readonly { readonly sha: string; readonly author: string; readonly message: string }[];
  /** How many commits `base` has that `head` has not. */
  readonly behindBy: number;
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
