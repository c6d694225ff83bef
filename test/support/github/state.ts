import { type GitRepository, noCommit } from './git-repository.ts';

/** Where events are told, as a webhook of every repository. */
export interface WebhookTarget {
  readonly url: string;
  readonly secret: string;
  /** It is a webhook of the organizations that own the repositories, and not of each repository. */
  readonly organization?: true;
}

/** One attempt to deliver an event. */
export interface Delivery {
  /** `x-github-delivery`: the attempts to deliver it again share it. */
  readonly id: string;
  /** Of this attempt. */
  readonly attempt: number;
  readonly event: string;
  /** `owner/name` */
  readonly repository: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Of the answer; 0 where there was none. */
  readonly status: number;
  readonly redelivery: boolean;
  /** ISO 8601 */
  at: string;
}

/** What has been told to the webhook, and the way to tell it again. */
export interface WebhookDeliveries {
  readonly deliveries: readonly Delivery[];
  readonly target: WebhookTarget | undefined;
  redeliver(delivery: Delivery): void;
}

/** What the emulator knows beside git, shared by its routes. */
export interface World {
  /** Where it listens, without a slash at the end. */
  url: string;
  /** By `owner/name` in lower case: GitHub does not tell cases apart. */
  readonly repositories: Map<string, Repository>;
  /** By the token itself. */
  readonly tokens: Map<string, Account>;
  readonly apps: Map<string, App>;
  readonly webhooks: WebhookDeliveries;
  nextId(): number;
  /** Tells whoever listens to the webhook; `members` are what the event has besides repository and sender. */
  announce(
    event: string,
    repository: Repository,
    sender: string,
    members: () => Promise<Readonly<Record<string, unknown>>>,
  ): void;
  /** The same for what happens to a pull request. */
  announcePull(action: string, repository: Repository, pull: Pull, sender: string): void;
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
  /** Runs of GitHub Actions, as far as they are listed by commit. */
  readonly headRuns: HeadRun[];
  readonly protections: Map<string, Protection>;
  readonly dispatches: Dispatch[];
  readonly settings: MergeSettings;
}

/** What the page of a repository's settings says about pull requests. */
export interface MergeSettings {
  squash: boolean;
  merge: boolean;
  rebase: boolean;
  /** The head branch is deleted when its pull request was merged. */
  deletesBranches: boolean;
}

export interface HeadRun {
  readonly id: number;
  readonly number: number;
  readonly workflow: number;
  readonly name: string;
  readonly sha: string;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion: string | null;
  readonly at: string;
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
  closedBy?: string;
  draft?: boolean;
  /** GitHub is still working out whether it can be merged: `mergeable` is null. */
  computing?: boolean;
  /** Its place in the merge queue of the base branch. */
  queue?: { readonly id: string; readonly by: string; readonly at: string };
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
  state: 'APPROVED' | 'CHANGES_REQUESTED' | 'COMMENTED' | 'DISMISSED';
  readonly body: string;
  readonly commit: string;
  readonly at: string;
}

export interface IssueEvent {
  readonly id: number;
  readonly event:
    | 'labeled'
    | 'assigned'
    | 'review_requested'
    | 'review_dismissed'
    | 'closed'
    | 'merged'
    | 'renamed'
    | 'added_to_merge_queue'
    | 'removed_from_merge_queue';
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
  /** The head has to contain the base. */
  readonly strict?: boolean;
  /** Changes come in by the merge queue only. */
  readonly queue?: boolean;
  /** Only people who are named may push there; Landfall is none of them. */
  readonly restricted?: boolean;
  /** Absent: whatever the repository allows. */
  readonly methods?: readonly ('merge' | 'squash' | 'rebase')[];
  /** It comes from a ruleset, which every reader sees, and not from classic protection. */
  readonly ruleset?: boolean;
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
      close(world, repository, pull, 'octocat');
      continue;
    }
    if (head !== pull.head) {
      pull.updatedAt = now();
      // What was pushed has not been checked by the queue.
      if (pull.queue !== undefined) leaveQueue(world, pull);
      pull.head = head;
      world.announcePull('synchronize', repository, pull, 'octocat');
    }
    const base = (await repository.git.branchHead(pull.base)) ?? noCommit;
    if (base !== noCommit && (await repository.git.isAncestor(head, base))) {
      pull.merged = { at: now(), by: 'octocat', commit: base };
      close(world, repository, pull, 'octocat');
    }
  }
}

export function close(world: World, repository: Repository, pull: Pull, actor: string): void {
  pull.state = 'closed';
  pull.closedAt = now();
  pull.updatedAt = pull.closedAt;
  pull.closedBy = actor;
  delete pull.queue;
  pull.events.push({ id: world.nextId(), event: 'closed', actor, subject: '', at: pull.closedAt });
  world.announcePull('closed', repository, pull, actor);
}

export function leaveQueue(world: World, pull: Pull): void {
  delete pull.queue;
  pull.events.push({
    id: world.nextId(),
    event: 'removed_from_merge_queue',
    actor: 'github-merge-queue[bot]',
    subject: '',
    at: now(),
  });
}

/** The latest status of each context, as the combined status counts them. */
export function latestStatuses(repository: Repository, sha: string): CommitStatus[] {
  const latest = new Map<string, CommitStatus>();
  for (const status of repository.statuses) if (status.sha === sha) latest.set(status.context.toLowerCase(), status);
  return [...latest.values()];
}

/** Of each name the newest one. */
export function latestCheckRuns({ checkRuns }: Repository, sha: string): CheckRun[] {
  return [...new Map(checkRuns.filter((run) => run.sha === sha).map((run) => [run.name, run])).values()];
}
