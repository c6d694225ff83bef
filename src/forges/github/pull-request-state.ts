import { Refusal } from '../../domain/failures.ts';
import type { Proposal, ProposalState, RateLimited, Review } from '../../domain/outcomes.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';
import { ifReadable } from './access.ts';
import { type BranchRules, readBranchRules } from './branch-rules.ts';
import { type Checks, readChecks } from './checks.ts';
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

/** The state of a pull request. */
export async function pullRequestState(repository: GitHubRepository, proposal: Proposal): Promise<PullRequestState> {
  const number = numberOf(proposal);
  const pull = await readPull(repository, number);
  if (pull.state === 'open') return openState(repository, pull);
  const ended = await endedState(repository, pull);
  return ended.kind === 'merged' ? { ...ended, reviews: await readReviews(repository, number) } : ended;
}

/** Merged or closed, and by whom. */
export async function endedState(
  { octokit, named }: GitHubRepository,
  pull: Pull,
): Promise<Exclude<PullRequestState, { kind: 'open' }>> {
  if (pull.merged) {
    const by = pull.merged_by?.login;
    return {
      kind: 'merged',
      commit: pull.merge_commit_sha ?? pull.head.sha,
      ...(by !== undefined && { by }),
      ...(pull.merged_at === null ? {} : { at: pull.merged_at }),
    };
  }
  // Only the pull request's issue tells who closed it.
  const issue = await ifReadable(() => octokit.rest.issues.get({ ...named, issue_number: pull.number }));
  const by = issue?.data.closed_by?.login;
  return { kind: 'closed', ...(by !== undefined && { by }) };
}

export async function openState(repository: GitHubRepository, pull: Pull): Promise<OpenPullRequest> {
  const rules = await readBranchRules(repository, pull.base.ref);
  const [checks, reviews] = await Promise.all([
    readChecks(repository, pull.head.sha, rules.checks),
    readReviews(repository, pull.number),
  ]);
  const { queued, missing } = await askFurther(repository, pull, rules, missingIn(rules, checks, reviews));
  const { mergeable, why } = mergeability(pull, { missing, queued, checks });
  const { pending, failing } = checks;
  return {
    kind: 'open',
    head: pull.head.sha,
    pending,
    failing,
    reviews,
    mergeable,
    ...(why !== undefined && { missing: why }),
    queued,
  };
}

/** What is known to be missing, for people. */
function missingIn({ approvals }: BranchRules, checks: Checks, reviews: readonly Review[]): string | undefined {
  const objecting = reviews.filter(({ state }) => state === 'changes-requested').map(({ by }) => by);
  const approving = reviews.filter(({ state }) => state === 'approved').length;
  const parts = [
    ...[...checks.failing, ...checks.pending].map((name) => `check ${name}`),
    ...(objecting.length > 0 ? [`changes requested by ${objecting.join(', ')}`] : []),
    ...(approving < approvals ? [reviewRequired] : []),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
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
  const queue = await unlessRefused(() => readQueue(repository, pull.number));
  const queued = queue?.isIn ? 'in-queue' : hasQueue || queue?.isRequired ? 'required' : 'no';
  return { queued, missing: missing ?? (queue?.needsReview ? reviewRequired : undefined) };
}

async function unlessRefused<Answer>(ask: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

interface MergeFacts {
  readonly missing: string | undefined;
  readonly queued: OpenPullRequest['queued'];
  readonly checks: Checks;
}

/**
 * GitHub's own summary, `mergeable_state`, with the reasons that we know.
 * @see https://docs.github.com/graphql/reference/enums#mergestatestatus the same states, described
 */
function mergeability(
  pull: Pull,
  { missing, queued, checks }: MergeFacts,
): { mergeable: OpenPullRequest['mergeable']; why?: string } {
  if (pull.draft) return { mergeable: 'waiting', why: 'still a draft' };
  if (pull.mergeable === null) return { mergeable: 'unknown' };
  const unmet = missing === undefined ? undefined : { mergeable: 'waiting' as const, why: missing };
  switch (pull.mergeable_state) {
    case 'dirty':
      return { mergeable: 'conflicting' };
    case 'behind':
      return { mergeable: 'behind' };
    case 'blocked':
      if (unmet !== undefined) return unmet;
      if (queued === 'required') return { mergeable: 'ready' };
      return { mergeable: 'waiting', why: `what the rules of ${pull.base.ref} demand (GitHub says: blocked)` };
    case 'unstable':
      if (!checks.complete && unmet === undefined) {
        return { mergeable: 'waiting', why: 'a check that our token cannot read (GitHub says: unstable)' };
      }
      return hasOpenChecks(checks) && unmet !== undefined ? unmet : { mergeable: 'ready' };
    case 'clean':
    case 'has_hooks':
      return hasOpenChecks(checks) && unmet !== undefined ? unmet : { mergeable: 'ready' };
    default:
      return { mergeable: 'unknown' };
  }
}

function hasOpenChecks({ pending, failing }: Checks): boolean {
  return pending.length + failing.length > 0;
}

/**
 * The newest review of each person that approves or asks for changes. Comments say neither; a dismissed review counts no more, and takes
 * the older ones of the same person with it, as at GitHub.
 */
async function readReviews({ octokit, named }: GitHubRepository, number: number): Promise<Review[]> {
  // Oldest first.
  const reviews = await octokit.paginate(octokit.rest.pulls.listReviews, { ...named, pull_number: number, per_page: 100 });
  const newest = new Map<string, Review | undefined>();
  for (const { user, state, commit_id: commit, submitted_at: at } of reviews) {
    if (user === null) continue;
    const by = user.login;
    const review = { by, commit: commit ?? '', at: at ?? '' };
    if (state === 'APPROVED') newest.set(by, { ...review, state: 'approved' });
    if (state === 'CHANGES_REQUESTED') newest.set(by, { ...review, state: 'changes-requested' });
    if (state === 'DISMISSED') newest.set(by, undefined);
  }
  return [...newest.values()].filter((review) => review !== undefined);
}
