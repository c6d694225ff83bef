import { Refusal } from '../../domain/failures.ts';
import type { Proposal, ProposalState, RateLimited, Review } from '../../domain/outcomes.ts';
import type { MergeMethod } from '../../domain/plan.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';
import { type Checks, ifAllowed, readChecks } from './checks.ts';
import { readQueue } from './queue.ts';

type PullRequestState = Exclude<ProposalState, RateLimited>;
type OpenPullRequest = Extract<PullRequestState, { kind: 'open' }>;

const reviewRequired = 'review required';

export type Pull = Awaited<ReturnType<typeof readPull>>;

export function numberOf(proposal: Proposal): number {
  if (proposal.kind === 'pull-request') return proposal.number;
  throw new Refusal('ForgeRefused', `expected a pull request at GitHub, found a branch of plain git: ${proposal.url}`);
}

/** @throws Error for an answer that is none: a proxy's page would otherwise be taken for a pull request that is not open any more */
export async function readPull({ octokit, named, fullName }: GitHubRepository, number: number) {
  const { data } = await octokit.rest.pulls.get({ ...named, pull_number: number });
  if (data?.number === number && ['open', 'closed'].includes(data.state)) return data;
  throw new Error(
    `expected GitHub to answer with pull request ${number} of ${fullName}, found something else: it is asked again`,
  );
}

export async function pullRequestState(repository: GitHubRepository, proposal: Proposal): Promise<PullRequestState> {
  const pull = await readPull(repository, numberOf(proposal));
  if (pull.state === 'open') return openState(repository, pull);
  const ended = await endedState(repository, pull);
  return ended.kind === 'merged' ? { ...ended, reviews: await readReviews(repository, pull.number) } : ended;
}

/** Merged or closed, and by whom. */
export async function endedState(
  { octokit, named }: GitHubRepository,
  pull: Pull,
): Promise<Exclude<PullRequestState, { kind: 'open' }>> {
  if (pull.merged) {
    const { merged_by: by, merged_at: at, merge_commit_sha: commit } = pull;
    return { kind: 'merged', commit: commit ?? pull.head.sha, ...(by && { by: by.login }), ...(at !== null && { at }) };
  }
  // Only the pull request's issue tells who closed it.
  const issue = await ifAllowed(() => octokit.rest.issues.get({ ...named, issue_number: pull.number }));
  const by = issue?.data.closed_by;
  return { kind: 'closed', ...(by && { by: by.login }) };
}

export async function openState(repository: GitHubRepository, pull: Pull): Promise<OpenPullRequest> {
  const rules = await readBranchRules(repository, pull.base.ref);
  const [checks, reviews] = await Promise.all([
    readChecks(repository, pull.head.sha, rules.checks),
    readReviews(repository, pull.number),
  ]);
  const { queued, missing } = await askFurther(repository, pull, rules, missingIn(rules, checks, reviews));
  const { pending, failing } = checks;
  return { kind: 'open', head: pull.head.sha, pending, failing, reviews, ...mergeability(pull, missing, queued, checks), queued };
}

export const mergeMethods: readonly MergeMethod[] = ['squash', 'merge', 'rebase'];

/** What a branch demands of what is merged into it, as far as the token may know it. */
export interface BranchRules {
  /** Names of check runs, or contexts of statuses. */
  readonly checks: readonly string[];
  /** How many approving reviews; classic protection tells it to administrators only, and is left out. */
  readonly approvals: number;
  readonly methods: readonly MergeMethod[];
  readonly hasQueue: boolean;
}

/** The rules of rulesets (read by any token), and the checks of classic protection, which every reader of the branch sees. */
export async function readBranchRules({ octokit, named }: GitHubRepository, branch: string): Promise<BranchRules> {
  const { getBranchRules, getBranch } = octokit.rest.repos;
  const [rules, found] = await Promise.all([
    ifAllowed(() => octokit.paginate(getBranchRules, { ...named, branch, per_page: 100 })),
    ifAllowed(() => getBranch({ ...named, branch })),
  ]);
  const classic = found?.data.protection?.required_status_checks;
  const checks = new Set(classic?.enforcement_level === 'off' ? [] : classic?.contexts);
  let methods = mergeMethods;
  let approvals = 0;
  let hasQueue = false;
  for (const rule of rules ?? []) {
    if (rule.type === 'required_status_checks') {
      for (const { context } of rule.parameters?.required_status_checks ?? []) checks.add(context);
    }
    if (rule.type === 'pull_request') {
      const { required_approving_review_count: count = 0, allowed_merge_methods: allowed = methods } = rule.parameters ?? {};
      approvals = Math.max(approvals, count);
      methods = methods.filter((method) => allowed.includes(method));
    }
    if (rule.type === 'required_linear_history') methods = methods.filter((method) => method !== 'merge');
    if (rule.type === 'merge_queue') hasQueue = true;
  }
  return { checks: [...checks], approvals, methods, hasQueue };
}

/** What is known to be missing, for people. */
function missingIn({ approvals }: BranchRules, checks: Checks, reviews: readonly Review[]): string | undefined {
  const { approved = [], 'changes-requested': objecting = [] } = Object.groupBy(reviews, ({ state }) => state);
  const parts = [...checks.failing, ...checks.pending].map((name) => `check ${name}`);
  if (objecting.length > 0) parts.push(`changes requested by ${objecting.map(({ by }) => by).join(', ')}`);
  if (approved.length < approvals) parts.push(reviewRequired);
  return parts.join(', ') || undefined;
}

/**
 * A queue of a ruleset is known from the rules. That classic protection demands one, or a review, is not: it is asked for where GitHub
 * says `blocked` and nothing that we know of is missing.
 */
async function askFurther(
  repository: GitHubRepository,
  pull: Pull,
  { hasQueue }: BranchRules,
  missing: string | undefined,
): Promise<{ queued: OpenPullRequest['queued']; missing: string | undefined }> {
  if (!hasQueue && (pull.mergeable_state !== 'blocked' || missing !== undefined)) return { queued: 'no', missing };
  const queue = await readQueue(repository, pull.number).catch((error: unknown) => {
    if (error instanceof Refusal) return undefined;
    throw error;
  });
  const queued = queue?.isIn ? 'in-queue' : hasQueue || queue?.isRequired ? 'required' : 'no';
  return { queued, missing: missing ?? (queue?.needsReview ? reviewRequired : undefined) };
}

/**
 * GitHub's own summary, `mergeable_state`, with the reasons that we know.
 * @see https://docs.github.com/graphql/reference/enums#mergestatestatus the same states, described
 */
function mergeability(
  pull: Pull,
  missing: string | undefined,
  queued: OpenPullRequest['queued'],
  { pending, failing, complete }: Checks,
): Pick<OpenPullRequest, 'mergeable' | 'missing'> {
  if (pull.draft) return { mergeable: 'waiting', missing: 'still a draft' };
  if (pull.mergeable === null) return { mergeable: 'unknown' };
  switch (pull.mergeable_state) {
    case 'dirty':
      return { mergeable: 'conflicting' };
    case 'behind':
      return { mergeable: 'behind' };
    case 'blocked':
      if (missing === undefined && queued === 'required') return { mergeable: 'ready' };
      return { mergeable: 'waiting', missing: missing ?? `what the rules of ${pull.base.ref} demand (GitHub says: blocked)` };
    case 'unstable':
    case 'clean':
    case 'has_hooks':
      if (missing === undefined && pull.mergeable_state === 'unstable' && !complete) {
        return { mergeable: 'waiting', missing: 'a check that our token cannot read (GitHub says: unstable)' };
      }
      return missing !== undefined && pending.length + failing.length > 0
        ? { mergeable: 'waiting', missing }
        : { mergeable: 'ready' };
    default:
      return { mergeable: 'unknown' };
  }
}

/**
 * The newest review of each person that approves or asks for changes. Comments say neither; a dismissed review counts no more, and takes
 * the older ones of the same person with it, as at GitHub.
 */
async function readReviews({ octokit, named }: GitHubRepository, number: number): Promise<Review[]> {
  // Oldest first.
  const reviews = await octokit.paginate(octokit.rest.pulls.listReviews, { ...named, pull_number: number, per_page: 100 });
  const newest = new Map<string, Review>();
  for (const { user, state, commit_id: commit, submitted_at: at } of reviews) {
    if (user === null) continue;
    const by = user.login;
    const review = { by, byId: user.id, commit: commit ?? '', at: at ?? '' };
    if (state === 'APPROVED') newest.set(by, { ...review, state: 'approved' });
    if (state === 'CHANGES_REQUESTED') newest.set(by, { ...review, state: 'changes-requested' });
    if (state === 'DISMISSED') newest.delete(by);
  }
  return [...newest.values()];
}
