import { mergeability } from './mergeability.ts';
import * as shapes from './shapes.ts';
import type { IssueEvent, Label, Pull, Repository, Review, World } from './state.ts';

/** How pull requests, and what hangs on them, look in GitHub's answers. */

type Shape = Record<string, unknown>;

function labelsOf(world: World, repository: Repository, pull: Pull): Shape[] {
  const known = pull.labels.map((name) => repository.labels.get(name.toLowerCase()));
  return known.filter((label): label is Label => label !== undefined).map((label) => shapes.label(world, repository, label));
}

function side(world: World, repository: Repository, branch: string, sha: string): Shape {
  const repo = shapes.fullRepository(world, repository);
  return { label: `${repository.owner}:${branch}`, ref: branch, sha, user: shapes.user(world, repository.owner), repo };
}

export async function simplePull(world: World, repository: Repository, pull: Pull): Promise<Shape> {
  const api = shapes.repositoryUrl(world, repository);
  const url = `${api}/pulls/${pull.number}`;
  const issueUrl = `${api}/issues/${pull.number}`;
  const web = `${shapes.webUrl(world, repository)}/pull/${pull.number}`;
  const links = {
    self: url,
    html: web,
    issue: issueUrl,
    comments: `${issueUrl}/comments`,
    review_comments: `${url}/comments`,
    review_comment: `${api}/pulls/comments{/number}`,
    commits: `${url}/commits`,
    statuses: `${api}/statuses/${pull.head}`,
  };
  const assignees = pull.assignees.map((login) => shapes.user(world, login));
  return {
    id: pull.id,
    node_id: shapes.nodeId('PullRequest', pull.id),
    number: pull.number,
    state: pull.state,
    locked: false,
    title: pull.title,
    body: pull.body,
    draft: pull.draft ?? false,
    user: shapes.user(world, pull.author),
    author_association: 'CONTRIBUTOR',
    created_at: pull.createdAt,
    updated_at: pull.updatedAt,
    closed_at: pull.closedAt,
    merged_at: pull.merged?.at ?? null,
    merge_commit_sha: pull.merged?.commit ?? null,
    assignee: assignees[0] ?? null,
    assignees,
    requested_reviewers: pull.reviewers.map((login) => shapes.user(world, login)),
    requested_teams: pull.teams.map((slug) => shapes.team(world, slug)),
    labels: labelsOf(world, repository, pull),
    milestone: null,
    auto_merge: null,
    head: side(world, repository, pull.branch, pull.head),
    base: side(world, repository, pull.base, (await repository.git.branchHead(pull.base)) ?? pull.head),
    url,
    html_url: web,
    diff_url: `${web}.diff`,
    patch_url: `${web}.patch`,
    issue_url: issueUrl,
    commits_url: links.commits,
    comments_url: links.comments,
    review_comments_url: links.review_comments,
    review_comment_url: links.review_comment,
    statuses_url: links.statuses,
    _links: Object.fromEntries(Object.entries(links).map(([name, href]) => [name, { href }])),
  };
}

/** With what only the answer for a single pull request has: whether it can be merged, and how much it changes. */
export async function fullPull(world: World, repository: Repository, pull: Pull): Promise<Shape> {
  const { git } = repository;
  const base = await git.branchHead(pull.base);
  const known = base !== undefined && (await git.resolve(pull.head, 'commit')) !== undefined;
  const changes = known ? await git.changes(base, pull.head) : { files: 0, additions: 0, deletions: 0 };
  const { mergeable, state } = await mergeability(repository, pull);
  return {
    ...(await simplePull(world, repository, pull)),
    merged: pull.merged !== undefined,
    merged_by: pull.merged === undefined ? null : shapes.user(world, pull.merged.by),
    mergeable,
    rebaseable: mergeable,
    mergeable_state: state,
    maintainer_can_modify: false,
    comments: 0,
    review_comments: 0,
    commits: known ? await git.countBetween(base, pull.head) : 0,
    additions: changes.additions,
    deletions: changes.deletions,
    changed_files: changes.files,
  };
}

/** A pull request as the issues API shows it. */
export function issue(world: World, repository: Repository, pull: Pull): Shape {
  const api = shapes.repositoryUrl(world, repository);
  const url = `${api}/issues/${pull.number}`;
  const web = `${shapes.webUrl(world, repository)}/pull/${pull.number}`;
  const assignees = pull.assignees.map((login) => shapes.user(world, login));
  return {
    id: pull.id,
    node_id: shapes.nodeId('PullRequest', pull.id),
    number: pull.number,
    state: pull.state,
    title: pull.title,
    body: pull.body,
    user: shapes.user(world, pull.author),
    author_association: 'CONTRIBUTOR',
    locked: false,
    comments: 0,
    milestone: null,
    labels: labelsOf(world, repository, pull),
    assignee: assignees[0] ?? null,
    assignees,
    created_at: pull.createdAt,
    updated_at: pull.updatedAt,
    closed_at: pull.closedAt,
    closed_by: pull.closedBy === undefined ? null : shapes.user(world, pull.closedBy),
    url,
    html_url: web,
    repository_url: api,
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    pull_request: { url: `${api}/pulls/${pull.number}`, html_url: web, diff_url: `${web}.diff`, patch_url: `${web}.patch` },
  };
}

export function review(world: World, repository: Repository, pull: Pull, shown: Review): Shape {
  const html = `${shapes.webUrl(world, repository)}/pull/${pull.number}#pullrequestreview-${shown.id}`;
  const url = `${shapes.repositoryUrl(world, repository)}/pulls/${pull.number}`;
  return {
    id: shown.id,
    node_id: shapes.nodeId('PullRequestReview', shown.id),
    user: shapes.user(world, shown.user),
    body: shown.body,
    state: shown.state,
    commit_id: shown.commit,
    submitted_at: shown.at,
    html_url: html,
    pull_request_url: url,
    author_association: 'COLLABORATOR',
    _links: { html: { href: html }, pull_request: { href: url } },
  };
}

export function issueEvent(world: World, repository: Repository, shown: IssueEvent): Shape {
  const about: Record<IssueEvent['event'], Shape> = {
    labeled: { label: { name: shown.subject, color: 'ededed' } },
    assigned: { assignee: shapes.user(world, shown.subject), assigner: shapes.user(world, shown.actor) },
    review_requested: {
      review_requester: shapes.user(world, shown.actor),
      ...(repository.teams.has(shown.subject)
        ? { requested_team: shapes.team(world, shown.subject) }
        : { requested_reviewer: shapes.user(world, shown.subject) }),
    },
    review_dismissed: {},
    added_to_merge_queue: {},
    removed_from_merge_queue: {},
    closed: {},
    merged: {},
    renamed: {},
  };
  return {
    id: shown.id,
    node_id: shapes.nodeId('IssueEvent', shown.id),
    url: `${shapes.repositoryUrl(world, repository)}/issues/events/${shown.id}`,
    actor: shapes.user(world, shown.actor),
    event: shown.event,
    commit_id: null,
    commit_url: null,
    created_at: shown.at,
    performed_via_github_app: null,
    ...about[shown.event],
  };
}
