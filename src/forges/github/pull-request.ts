import { Refusal } from '../../domain/failures.ts';
import type { Log } from '../../domain/log.ts';
import type { Proposal } from '../../domain/outcomes.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { type GitHubRepository, headOf, type PullRequest } from '../../platform/github/repository.ts';
import type { ChangeRequest } from '../forge.ts';
import { numberOf, readPull } from './pull-request-state.ts';

type ForgeLog = Pick<Log, 'warn'>;

/** One open pull request a branch and base: found, or made; then with title, body, labels and people as they should be. */
export async function openChange(repository: GitHubRepository, change: ChangeRequest, log: ForgeLog): Promise<Proposal> {
  const { octokit, named } = repository;
  const { branch, base, head, title, body } = change;
  const pull = (await findOpen(repository, change)) ?? (await create(repository, change));
  const { number, html_url: url } = pull;
  if (pull.title !== title || canonical(pull.body ?? '') !== canonical(body)) {
    await octokit.rest.pulls.update({ ...named, pull_number: number, title, body });
  }
  await addPeople(repository, change, pull, log);
  return { kind: 'pull-request', url, number, branch, base, head };
}

async function findOpen({ octokit, named }: GitHubRepository, { branch, base }: ChangeRequest): Promise<PullRequest | undefined> {
  const head = `${named.owner}:${branch}`;
  const { data } = await octokit.rest.pulls.list({ ...named, state: 'open', head, base, per_page: 100 });
  // GitHub leaves a filter out if it does not understand it, and then lists what is not ours.
  return data.find(
    (pull) =>
      // By id: a repository that was renamed answers by its old name, too, and says the new one.
      pull.base.ref === base && pull.head.ref === branch && pull.head.repo?.id === pull.base.repo.id,
  );
}

async function create(repository: GitHubRepository, change: ChangeRequest): Promise<PullRequest> {
  const { octokit, named } = repository;
  const { branch, base, title, body } = change;
  try {
    return (await octokit.rest.pulls.create({ ...named, head: branch, base, title, body })).data;
  } catch (error) {
    // Another try has made it since we looked; where not, GitHub's no is about something else.
    const made = answeredWith(error, 422) ? await findOpen(repository, change) : undefined;
    if (made === undefined) throw error;
    return made;
  }
}

/** GitHub's page sends bodies with other line ends than we do, and what ends a body may be trimmed. */
function canonical(text: string): string {
  return text.replaceAll('\r\n', '\n').trimEnd();
}

/**
 * Labels, assignees and reviewers, each added once: what a person took away again, or who has reviewed already, does not come back with
 * the next image. A reviewer or assignee that GitHub rejects is logged, and is no reason to stop.
 */
async function addPeople(repository: GitHubRepository, change: ChangeRequest, pull: PullRequest, log: ForgeLog): Promise<void> {
  const { octokit, named } = repository;
  const { number, labels, assignees, requested_reviewers: users, requested_teams: teams } = pull;
  const missing = {
    labeled: without(change.labels, labels.map(nameOf)),
    assigned: without(change.assignees, assignees?.map(loginOf)),
    // Teams as they are configured: `owner/team`.
    review_requested: without(
      without(change.reviewers, users?.map(loginOf)),
      teams?.map(({ slug }) => `${named.owner}/${slug}`),
    ),
  };
  if (Object.values(missing).every((names) => names.length === 0)) return;
  const before = await addedBefore(repository, number);
  const left = (event: keyof typeof missing) => without(missing[event], before(event));
  const [newLabels, newAssignees] = [left('labeled'), left('assigned')];
  if (newLabels.length > 0) await octokit.rest.issues.addLabels({ ...named, issue_number: number, labels: newLabels });
  if (newAssignees.length > 0) await assign(repository, pull, newAssignees, log);
  await requestReviews(repository, pull, left('review_requested'), log);
}

const nameOf = ({ name }: { readonly name: string }): string => name;
const loginOf = ({ login }: { readonly login: string }): string => login;

/** Names are compared as GitHub does it: case does not matter. */
function without(names: readonly string[], present: readonly string[] = []): string[] {
  const known = new Set(present.map((name) => name.toLowerCase()));
  return names.filter((name) => !known.has(name.toLowerCase()));
}

/** Who or what has ever been added to the pull request, by the kind of event. */
async function addedBefore({ octokit, named }: GitHubRepository, number: number): Promise<(event: string) => string[]> {
  const events = await octokit.paginate(octokit.rest.issues.listEvents, { ...named, issue_number: number, per_page: 100 });
  return (kind) =>
    events.flatMap((event) => {
      if (event.event !== kind) return [];
      if ('label' in event) return [event.label.name];
      if ('requested_team' in event) return [`${named.owner}/${event.requested_team.slug}`];
      if ('requested_reviewer' in event) return [event.requested_reviewer.login];
      return 'assignee' in event ? [event.assignee.login] : [];
    });
}

async function assign(
  { octokit, named }: GitHubRepository,
  pull: PullRequest,
  assignees: string[],
  log: ForgeLog,
): Promise<void> {
  const { data } = await octokit.rest.issues.addAssignees({ ...named, issue_number: pull.number, assignees });
  // GitHub silently drops people that it does not know, or who have no access.
  const left = without(assignees, data.assignees?.map(loginOf));
  if (left.length > 0) log.warn({ pull: pull.html_url, assignees: left }, 'GitHub did not assign them: have they access?');
}

/** One invalid reviewer makes GitHub refuse the whole request, so then each is requested separately. */
async function requestReviews(
  repository: GitHubRepository,
  pull: PullRequest,
  reviewers: readonly string[],
  log: ForgeLog,
): Promise<void> {
  if (reviewers.length === 0) return;
  const refusal = await requestReview(repository, pull.number, reviewers);
  if (refusal === undefined) return;
  for (const reviewer of reviewers) {
    const reason = reviewers.length === 1 ? refusal : await requestReview(repository, pull.number, [reviewer]);
    if (reason === undefined) continue;
    log.warn({ pull: pull.html_url, reviewer, reason: reason.message }, 'GitHub did not take a reviewer: have they access?');
  }
}

/** @param names logins, and teams as `owner/team` @returns why GitHub refused, or undefined if it did not */
async function requestReview(
  { octokit, named }: GitHubRepository,
  number: number,
  names: readonly string[],
): Promise<Refusal | undefined> {
  const reviewers = names.filter((name) => !name.includes('/'));
  const teams = names.filter((name) => name.includes('/')).map((name) => name.slice(name.indexOf('/') + 1));
  try {
    await octokit.rest.pulls.requestReviewers({ ...named, pull_number: number, reviewers, team_reviewers: teams });
    return undefined;
  } catch (error) {
    if (error instanceof Refusal && error.type === 'ForgeRefused') return error;
    throw error;
  }
}

export async function closePull(repository: GitHubRepository, proposal: Proposal): Promise<void> {
  const { octokit, named } = repository;
  const pull = await readPull(repository, numberOf(proposal));
  if (pull.state === 'closed') return;
  await octokit.rest.pulls.update({ ...named, pull_number: pull.number, state: 'closed' });
}

/** Only if it is still at `head`: what somebody pushed to it is theirs. GitHub may have deleted it by itself. */
export async function deleteBranch(repository: GitHubRepository, branch: string, head: string): Promise<void> {
  const { octokit, named } = repository;
  if ((await headOf(repository, branch)) !== head) return;
  try {
    await octokit.rest.git.deleteRef({ ...named, ref: `heads/${branch}` });
  } catch (error) {
    // It was deleted in the meantime, or is protected: reading it again tells which.
    if (!answeredWith(error, 422) || (await headOf(repository, branch)) === head) throw error;
  }
}
