import { Refusal } from '../../domain/failures.ts';
import type { Log } from '../../domain/log.ts';
import type { GitHubRepository, PullRequest } from '../../platform/github/repository.ts';
import type { ChangeRequest } from '../forge.ts';

/** What a pull request should have, in one of its lists. Names are compared as GitHub does it: case does not matter. */
interface Addition {
  /** The event by which GitHub remembers an addition. */
  readonly event: 'labeled' | 'assigned' | 'review_requested';
  readonly names: readonly string[];
}

/**
 * Labels, assignees and reviewers, each added once: what a person took away again, or who has reviewed already, does not come back with
 * the next image. A reviewer or assignee that GitHub rejects is logged, and is no reason to stop.
 */
export async function addPeople(
  repository: GitHubRepository,
  change: ChangeRequest,
  pull: PullRequest,
  log: Pick<Log, 'warn'>,
): Promise<void> {
  const additions = [
    { event: 'labeled', names: without(change.labels, labelsOf(pull)) },
    { event: 'assigned', names: without(change.assignees, assigneesOf(pull)) },
    { event: 'review_requested', names: without(change.reviewers, reviewersOf(pull, repository.named.owner)) },
  ] as const satisfies readonly Addition[];
  if (additions.every(({ names }) => names.length === 0)) return;
  const before = await addedBefore(repository, pull);
  const [labels, assignees, reviewers] = additions.map(({ event, names }) => without(names, before(event)));
  await addLabels(repository, pull, labels ?? []);
  await assign(repository, pull, assignees ?? [], log);
  await requestReviews(repository, pull, reviewers ?? [], log);
}

function labelsOf({ labels }: PullRequest): string[] {
  return labels.map(({ name }) => name);
}

function assigneesOf({ assignees }: PullRequest): string[] {
  return (assignees ?? []).map(({ login }) => login);
}

/** Teams as they are configured: `owner/team`. */
function reviewersOf({ requested_reviewers: users, requested_teams: teams }: PullRequest, owner: string): string[] {
  return [...(users ?? []).map(({ login }) => login), ...(teams ?? []).map(({ slug }) => `${owner}/${slug}`)];
}

function without(names: readonly string[], present: readonly string[]): string[] {
  const known = new Set(present.map((name) => name.toLowerCase()));
  return names.filter((name) => !known.has(name.toLowerCase()));
}

/** Who or what has ever been added to the pull request, by the kind of event. */
async function addedBefore(
  { octokit, named }: GitHubRepository,
  { number }: PullRequest,
): Promise<(event: Addition['event']) => string[]> {
  const events = await octokit.paginate(octokit.rest.issues.listEvents, { ...named, issue_number: number, per_page: 100 });
  return (kind) =>
    events.flatMap((event) => {
      if (event.event !== kind) return [];
      if ('label' in event) return [event.label.name];
      if ('requested_team' in event) return [`${named.owner}/${event.requested_team.slug}`];
      if ('requested_reviewer' in event) return [event.requested_reviewer.login];
      if ('assignee' in event) return [event.assignee.login];
      return [];
    });
}

async function addLabels({ octokit, named }: GitHubRepository, pull: PullRequest, labels: string[]): Promise<void> {
  if (labels.length === 0) return;
  await octokit.rest.issues.addLabels({ ...named, issue_number: pull.number, labels });
}

async function assign(
  { octokit, named }: GitHubRepository,
  pull: PullRequest,
  logins: string[],
  log: Pick<Log, 'warn'>,
): Promise<void> {
  if (logins.length === 0) return;
  const { data } = await octokit.rest.issues.addAssignees({ ...named, issue_number: pull.number, assignees: logins });
  // GitHub silently drops people that it does not know, or who have no access.
  const left = without(
    logins,
    (data.assignees ?? []).map(({ login }) => login),
  );
  if (left.length > 0) log.warn({ pull: pull.html_url, assignees: left }, 'GitHub did not assign them: have they access?');
}

/** One invalid reviewer makes GitHub refuse the whole request, so then each is requested separately. */
async function requestReviews(
  repository: GitHubRepository,
  pull: PullRequest,
  reviewers: readonly string[],
  log: Pick<Log, 'warn'>,
): Promise<void> {
  if (reviewers.length === 0) return;
  const refusal = await requestReview(repository, pull, reviewers);
  if (refusal === undefined) return;
  for (const reviewer of reviewers) {
    const reason = reviewers.length === 1 ? refusal : await requestReview(repository, pull, [reviewer]);
    if (reason === undefined) continue;
    log.warn({ pull: pull.html_url, reviewer, reason: reason.message }, 'GitHub did not take a reviewer: have they access?');
  }
}

/** @param reviewers logins, and teams as `owner/team` @returns why GitHub refused, or undefined if it did not */
async function requestReview(
  { octokit, named }: GitHubRepository,
  { number }: PullRequest,
  reviewers: readonly string[],
): Promise<Refusal | undefined> {
  const teams = reviewers.filter((name) => name.includes('/'));
  try {
    await octokit.rest.pulls.requestReviewers({
      ...named,
      pull_number: number,
      reviewers: reviewers.filter((name) => !name.includes('/')),
      team_reviewers: teams.map((name) => name.slice(name.indexOf('/') + 1)),
    });
    return undefined;
  } catch (error) {
    if (error instanceof Refusal && error.type === 'ForgeRefused') return error;
    throw error;
  }
}
