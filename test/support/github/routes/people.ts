import { ErrorReply, notFound, onRepository, page, pullOf, type RepositoryCall, type Routes } from '../routing.ts';
import * as shapes from '../shapes.ts';
import * as pullShapes from '../shapes-of-pulls.ts';
import { type IssueEvent, now, type Pull, type Review } from '../state.ts';

/** Labels, assignees, reviewers and reviews of pull requests, and the events that tell who was added when. */

function record({ world, account }: RepositoryCall, pull: Pull, event: IssueEvent['event'], subject: string): void {
  pull.events.push({ id: world.nextId(), event, actor: account.login, subject, at: now() });
}

async function addLabels(call: RepositoryCall) {
  const { world, repository } = call;
  const pull = pullOf(call);
  const { labels = [] } = call.body as { labels?: (string | { name: string })[] };
  for (const given of labels) {
    const name = typeof given === 'string' ? given : given.name;
    const key = name.toLowerCase();
    const label = repository.labels.get(key) ?? { id: world.nextId(), name, color: 'ededed' };
    repository.labels.set(key, label);
    if (pull.labels.includes(label.name)) continue;
    pull.labels.push(label.name);
    record(call, pull, 'labeled', label.name);
  }
  return listLabels(call);
}

async function listLabels(call: RepositoryCall) {
  const { world, repository } = call;
  const known = [...repository.labels.values()].filter(({ name }) => pullOf(call).labels.includes(name));
  return { status: 200, body: known.map((label) => shapes.label(world, repository, label)) };
}

/** Whoever cannot be assigned is left out without a word, as GitHub does it. */
async function addAssignees(call: RepositoryCall) {
  const pull = pullOf(call);
  const { assignees = [] } = call.body as { assignees?: string[] };
  for (const login of assignees) {
    if (!call.repository.collaborators.has(login) || pull.assignees.includes(login)) continue;
    pull.assignees.push(login);
    record(call, pull, 'assigned', login);
  }
  return { status: 201, body: pullShapes.issue(call.world, call.repository, pull) };
}

/** All or none: one who cannot be asked refuses the whole request. */
async function requestReviewers(call: RepositoryCall) {
  const { world, repository } = call;
  const pull = pullOf(call);
  const { reviewers = [], team_reviewers: teams = [] } = call.body as { reviewers?: string[]; team_reviewers?: string[] };
  if (reviewers.includes(pull.author)) {
    throw new ErrorReply(422, 'Review cannot be requested from pull request author.');
  }
  if (!reviewers.every((login) => repository.collaborators.has(login)) || !teams.every((slug) => repository.teams.has(slug))) {
    throw new ErrorReply(
      422,
      'Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a ' +
        `collaborator of the ${repository.fullName} repository.`,
    );
  }
  for (const [asked, present] of [
    [reviewers, pull.reviewers],
    [teams, pull.teams],
  ] as const) {
    for (const name of asked.filter((candidate) => !present.includes(candidate))) {
      present.push(name);
      record(call, pull, 'review_requested', name);
    }
  }
  return { status: 201, body: await pullShapes.simplePull(world, repository, pull) };
}

async function listRequestedReviewers(call: RepositoryCall) {
  const { reviewers, teams } = pullOf(call);
  const users = reviewers.map((login) => shapes.user(call.world, login));
  return { status: 200, body: { users, teams: teams.map((slug) => shapes.team(call.world, slug)) } };
}

async function createReview(call: RepositoryCall) {
  const { world, account, repository } = call;
  const pull = pullOf(call);
  const {
    event = 'COMMENT',
    body = '',
    commit_id: commit = pull.head,
  } = call.body as {
    event?: 'APPROVE' | 'REQUEST_CHANGES' | 'COMMENT';
    body?: string;
    commit_id?: string;
  };
  if (account.login === pull.author && event !== 'COMMENT') {
    throw new ErrorReply(422, 'Unprocessable Entity', { errors: ['Can not approve your own pull request'] });
  }
  const states = { APPROVE: 'APPROVED', REQUEST_CHANGES: 'CHANGES_REQUESTED', COMMENT: 'COMMENTED' } as const;
  const review: Review = { id: world.nextId(), user: account.login, state: states[event], body, commit, at: now() };
  pull.reviews.push(review);
  announceReview(call, pull, review, 'submitted');
  // Whoever has reviewed is no longer asked to.
  const asked = pull.reviewers.indexOf(account.login);
  if (asked >= 0) pull.reviewers.splice(asked, 1);
  return { status: 200, body: pullShapes.review(world, repository, pull, review) };
}

async function dismissReview(call: RepositoryCall) {
  const pull = pullOf(call);
  const review = pull.reviews.find(({ id }) => id === Number(call.parameters.review_id));
  if (review === undefined) throw notFound();
  if (review.state !== 'APPROVED' && review.state !== 'CHANGES_REQUESTED') {
    throw new ErrorReply(422, 'Unprocessable Entity', { errors: ['Can not dismiss a review that says neither yes nor no'] });
  }
  review.state = 'DISMISSED';
  record(call, pull, 'review_dismissed', '');
  announceReview(call, pull, review, 'dismissed');
  return { status: 200, body: pullShapes.review(call.world, call.repository, pull, review) };
}

function announceReview({ world, account, repository }: RepositoryCall, pull: Pull, review: Review, action: string): void {
  const state = review.state.toLowerCase();
  world.announce('pull_request_review', repository, account.login, async () => ({
    action,
    review: { ...pullShapes.review(world, repository, pull, review), state },
    pull_request: await pullShapes.simplePull(world, repository, pull),
  }));
}

async function listReviews(call: RepositoryCall) {
  const { world, repository } = call;
  const pull = pullOf(call);
  const path = new URL(`${shapes.repositoryUrl(world, repository)}/pulls/${pull.number}/reviews`).pathname;
  const { items, headers } = page(call, pull.reviews, path);
  return { status: 200, body: items.map((review) => pullShapes.review(world, repository, pull, review)), headers };
}

async function listEvents(call: RepositoryCall) {
  const { world, repository } = call;
  const pull = pullOf(call);
  const path = new URL(`${shapes.repositoryUrl(world, repository)}/issues/${pull.number}/events`).pathname;
  const { items, headers } = page(call, pull.events, path);
  return { status: 200, body: items.map((event) => pullShapes.issueEvent(world, repository, event)), headers };
}

const read = ['issues=read', 'pull_requests=read'];
const write = ['issues=write', 'pull_requests=write'];

export const peopleRoutes: Routes = {
  'issues/add-labels': onRepository(write, addLabels),
  'issues/list-labels-on-issue': onRepository(read, listLabels),
  'issues/add-assignees': onRepository(write, addAssignees),
  'issues/list-events': onRepository(read, listEvents),
  'pulls/request-reviewers': onRepository(['pull_requests=write'], requestReviewers),
  'pulls/list-requested-reviewers': onRepository(['pull_requests=read'], listRequestedReviewers),
  'pulls/create-review': onRepository(['pull_requests=write'], createReview),
  'pulls/dismiss-review': onRepository(['pull_requests=write'], dismissReview),
  'pulls/list-reviews': onRepository(['pull_requests=read'], listReviews),
};
