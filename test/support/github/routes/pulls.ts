import { onRepository, page, pullOf, type RepositoryCall, type Routes, validationFailed } from '../routing.ts';
import { repositoryUrl } from '../shapes.ts';
import * as shapes from '../shapes-of-pulls.ts';
import { close, now, type Pull } from '../state.ts';

/** https://docs.github.com/rest/pulls/pulls */

async function list(call: RepositoryCall) {
  const { world, repository, query } = call;
  const state = query.get('state') ?? 'open';
  const head = query.get('head');
  const base = query.get('base');
  const owner = repository.owner.toLowerCase();
  const matching = repository.pulls
    .filter((pull) => state === 'all' || pull.state === state)
    // GitHub ignores a head that is not `OWNER:BRANCH`, and lists everything.
    .filter((pull) => !head?.includes(':') || head === `${head.split(':')[0]}:${pull.branch}`)
    .filter(() => !head?.includes(':') || head.split(':')[0]?.toLowerCase() === owner)
    .filter((pull) => base === null || pull.base === base)
    .reverse();
  const { items, headers } = page(call, matching, new URL(`${repositoryUrl(world, repository)}/pulls`).pathname);
  const body = await Promise.all(items.map((pull) => shapes.simplePull(world, repository, pull)));
  return { status: 200, body, headers };
}

interface NewPull {
  readonly title?: string;
  readonly head: string;
  readonly base: string;
  readonly body?: string;
  readonly draft?: boolean;
}

async function create({ world, account, repository, body }: RepositoryCall) {
  const { title, head, base, body: text, draft = false } = body as NewPull;
  const { git, pulls } = repository;
  const branch = head.slice(head.indexOf(':') + 1);
  const [headSha, baseSha] = [await git.branchHead(branch), await git.branchHead(base)];
  if (headSha === undefined) throw validationFailed('PullRequest', 'head is invalid');
  if (baseSha === undefined) throw validationFailed('PullRequest', 'base is invalid');
  if (title === undefined || title === '') throw validationFailed('PullRequest', "title can't be blank");
  if (pulls.some((pull) => pull.state === 'open' && pull.branch === branch && pull.base === base)) {
    throw validationFailed('PullRequest', `A pull request already exists for ${repository.owner}:${branch}.`);
  }
  if (await git.isAncestor(headSha, baseSha)) throw validationFailed('PullRequest', `No commits between ${base} and ${branch}`);
  const at = now();
  const pull: Pull = {
    id: world.nextId(),
    number: pulls.length + 1,
    author: account.login,
    branch,
    base,
    title,
    body: text ?? null,
    state: 'open',
    head: headSha,
    draft,
    createdAt: at,
    updatedAt: at,
    closedAt: null,
    labels: [],
    assignees: [],
    reviewers: [],
    teams: [],
    reviews: [],
    events: [],
  };
  pulls.push(pull);
  world.announcePull('opened', repository, pull, account.login);
  return { status: 201, body: await shapes.fullPull(world, repository, pull) };
}

async function get(call: RepositoryCall) {
  return { status: 200, body: await shapes.fullPull(call.world, call.repository, pullOf(call)) };
}

async function update(call: RepositoryCall) {
  const pull = pullOf(call);
  const { title, body, base, state } = call.body as Partial<NewPull> & { state?: 'open' | 'closed' };
  if (title !== undefined) pull.title = title;
  if (body !== undefined) pull.body = body;
  if (base !== undefined) pull.base = base;
  if (state === 'closed' && pull.state === 'open') close(call.world, call.repository, pull, call.account.login);
  if (state === 'open' && pull.state === 'closed') reopen(call, pull);
  pull.updatedAt = now();
  return { status: 200, body: await shapes.fullPull(call.world, call.repository, pull) };
}

function reopen({ repository }: RepositoryCall, pull: Pull): void {
  if (pull.merged) throw validationFailed('PullRequest', 'state cannot be changed. The pull request was merged.');
  const other = repository.pulls.some(
    ({ state, branch, base }) => state === 'open' && branch === pull.branch && base === pull.base,
  );
  if (other) throw validationFailed('PullRequest', `A pull request already exists for ${repository.owner}:${pull.branch}.`);
  pull.state = 'open';
  pull.closedAt = null;
  delete pull.closedBy;
}

/** A pull request as the issue that it is, too: it tells who closed it. */
async function getIssue(call: RepositoryCall) {
  return { status: 200, body: shapes.issue(call.world, call.repository, pullOf(call)) };
}

export const pullRoutes: Routes = {
  'pulls/list': onRepository(['pull_requests=read'], list),
  'pulls/create': onRepository(['pull_requests=write'], create),
  'pulls/get': onRepository(['pull_requests=read'], get),
  'pulls/update': onRepository(['pull_requests=write'], update),
  'issues/get': onRepository(['issues=read', 'pull_requests=read'], getIssue),
};
