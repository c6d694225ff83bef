import { type GitRepository, noCommit } from './git-repository.ts';

/** What the emulator knows beside git, shared by its routes. */
export interface World {
  /** Where it listens, without a slash at the end. */
  url: string;
  /** By `owner/name` in lower case: GitHub does not tell cases apart. */
  readonly repositories: Map<string, Repository>;
  /** By the token itself. */
  readonly tokens: Map<string, Account>;
  readonly apps: Map<string, App>;
  nextId(): number;
}

export type Permissions = Readonly<Record<string, 'read' | 'write'>>;

/** Who asks, and what they may. */
export interface Account {
  readonly login: string;
  readonly permissions: Permissions;
  /** `owner/name`; absent: every repository. */
  readonly repositories?: readonly string[];
  /** Token of a GitHub App's installation. */
  readonly installation?: number;
  /** The app itself, by its signed JSON Web Token: it can do nothing but look for installations and ask for their tokens. */
  readonly app?: string;
  /** ISO 8601; absent: never. */
  readonly expiresAt?: string;
}

export interface App {
  readonly id: string;
  /** PEM. */
  readonly publicKey: string;
  readonly installation: number;
  readonly owner: string;
  readonly permissions: Permissions;
}

export interface Repository {
  readonly id: number;
  readonly owner: string;
  readonly name: string;
  readonly fullName: string;
  readonly git: GitRepository;
  readonly defaultBranch: string;
  readonly private: boolean;
  readonly createdAt: string;
  /** Logins that can be asked for a review and be assigned. */
  readonly collaborators: ReadonlySet<string>;
  /** Slugs of the teams that can be asked for a review. */
  readonly teams: ReadonlySet<string>;
  readonly labels: Map<string, Label>;
  readonly pulls: Pull[];
  readonly statuses: CommitStatus[];
  readonly checkRuns: CheckRun[];
  readonly protections: Map<string, Protection>;
  readonly dispatches: Dispatch[];
}

export interface Label {
  readonly id: number;
  readonly name: string;
  readonly color: string;
}

export interface Pull {
  readonly id: number;
  readonly number: number;
  readonly author: string;
  readonly branch: string;
  title: string;
  body: string | null;
  base: string;
  state: 'open' | 'closed';
  /** Of the head branch, for as long as the pull request is open. */
  head: string;
  readonly createdAt: string;
  updatedAt: string;
  closedAt: string | null;
  merged?: { readonly at: string; readonly by: string; readonly commit: string };
  readonly labels: string[];
  readonly assignees: string[];
  readonly reviewers: string[];
  readonly teams: string[];
  readonly reviews: Review[];
  readonly events: IssueEvent[];
}

export interface Review {
  readonly id: number;
  readonly user: string;
  readonly state: 'APPROVED' | 'CHANGES_REQUESTED' | 'COMMENTED';
  readonly body: string;
  readonly commit: string;
  readonly at: string;
}

export interface IssueEvent {
  readonly id: number;
  readonly event: 'labeled' | 'assigned' | 'review_requested' | 'closed' | 'merged' | 'renamed';
  readonly actor: string;
  /** Name of the label, login of the user, or slug of the team. */
  readonly subject: string;
  readonly at: string;
}

export interface CommitStatus {
  readonly id: number;
  readonly sha: string;
  readonly context: string;
  readonly state: 'error' | 'failure' | 'pending' | 'success';
  readonly description: string | null;
  readonly targetUrl: string | null;
  readonly creator: string;
  readonly at: string;
}

export interface CheckRun {
  readonly id: number;
  readonly sha: string;
  readonly name: string;
  readonly status: 'queued' | 'in_progress' | 'completed';
  readonly conclusion: 'success' | 'failure' | 'neutral' | 'cancelled' | 'skipped' | 'timed_out' | 'action_required' | null;
  readonly at: string;
}

/** What a branch asks for before something is merged into it. A protected branch takes neither direct nor forced updates. */
export interface Protection {
  /** Contexts of commit statuses, or names of check runs, that must be successful. */
  readonly contexts: readonly string[];
  readonly approvals: number;
}

export interface Dispatch {
  readonly eventType: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** The time in GitHub's form: whole seconds. */
export function now(): string {
  return new Date().toISOString().replace(/\.\d+/, '');
}

export function findRepository(world: World, fullName: string): Repository {
  const repository = world.repositories.get(fullName.toLowerCase());
  if (repository === undefined) throw new Error(`the emulator has no repository ${fullName}: create it first`);
  return repository;
}

/**
 * Brings the pull requests up to what git says: people push with git too. A head branch that moved is the new head, one that is gone closes
 * its pull request, and one that the base contains by now counts as merged.
 */
export async function refreshPulls(world: World, repository: Repository): Promise<void> {
  for (const pull of repository.pulls) {
    if (pull.state === 'closed') continue;
    const head = await repository.git.branchHead(pull.branch);
    if (head === undefined) {
      close(world, pull, 'octocat');
      continue;
    }
    if (head !== pull.head) pull.updatedAt = now();
    pull.head = head;
    const base = (await repository.git.branchHead(pull.base)) ?? noCommit;
    if (base !== noCommit && (await repository.git.isAncestor(head, base))) {
      pull.merged = { at: now(), by: 'octocat', commit: base };
      close(world, pull, 'octocat');
    }
  }
}

export function close(world: World, pull: Pull, actor: string): void {
  pull.state = 'closed';
  pull.closedAt = now();
  pull.updatedAt = pull.closedAt;
  pull.events.push({ id: world.nextId(), event: 'closed', actor, subject: '', at: pull.closedAt });
}

/** The latest status of each context, as the combined status counts them. */
export function latestStatuses(repository: Repository, sha: string): CommitStatus[] {
  const latest = new Map<string, CommitStatus>();
  for (const status of repository.statuses) if (status.sha === sha) latest.set(status.context.toLowerCase(), status);
  return [...latest.values()];
}
