import { ErrorReply, notFound, onRepository, page, type RepositoryCall, type Routes, validationFailed } from '../routing.ts';
import * as shapes from '../shapes.ts';
import { type CheckRun, type CommitStatus, latestCheckRuns, latestStatuses, now, type Repository, type World } from '../state.ts';

/** Commit statuses (https://docs.github.com/rest/commits/statuses) and check runs (read only; tests put them there). */

async function commitOf({ repository, parameters }: RepositoryCall): Promise<string> {
  const sha = await repository.git.resolve(parameters.ref ?? parameters.sha ?? '', 'commit');
  if (sha === undefined) throw notFound();
  return sha;
}

async function createStatus(call: RepositoryCall) {
  const { world, account, repository, parameters } = call;
  const given = call.body as {
    state: CommitStatus['state'];
    context?: string;
    description?: string | null;
    target_url?: string | null;
  };
  const sha = parameters.sha ?? '';
  if ((await repository.git.resolve(sha, 'commit')) !== sha) throw new ErrorReply(404, `No commit found for SHA: ${sha}`);
  if ((given.description?.length ?? 0) > 140) {
    throw validationFailed('Status', 'description is too long (maximum is 140 characters)');
  }
  const status: CommitStatus = {
    id: world.nextId(),
    sha,
    context: given.context ?? 'default',
    state: given.state,
    description: given.description ?? null,
    targetUrl: given.target_url ?? null,
    creator: account.login,
    at: now(),
  };
  repository.statuses.push(status);
  announceStatus(call, status);
  return { status: 201, body: { ...statusShape(call, status), creator: shapes.user(world, account.login) } };
}

function announceStatus({ world, account, repository }: RepositoryCall, status: CommitStatus): void {
  const { id, sha, context, state, description, targetUrl } = status;
  world.announce('status', repository, account.login, async () => ({
    id,
    sha,
    name: repository.fullName,
    context,
    state,
    description,
    target_url: targetUrl,
    commit: shapes.commit(world, repository, await repository.git.readCommit(sha)),
    branches: await branchesAt(repository, sha),
    created_at: status.at,
    updated_at: status.at,
  }));
}

/** At most ten branches whose head it is. */
async function branchesAt({ git }: Repository, sha: string) {
  const refs = await git.refs('refs/heads/');
  const at = refs.filter((ref) => ref.sha === sha).slice(0, 10);
  return at.map(({ ref }) => ({ name: ref.slice('refs/heads/'.length), commit: { sha }, protected: false }));
}

function statusShape({ world, repository }: RepositoryCall, status: CommitStatus) {
  return {
    id: status.id,
    node_id: shapes.nodeId('Status', status.id),
    url: `${shapes.repositoryUrl(world, repository)}/statuses/${status.sha}`,
    avatar_url: null,
    state: status.state,
    context: status.context,
    description: status.description,
    target_url: status.targetUrl,
    created_at: status.at,
    updated_at: status.at,
  };
}

async function combinedStatus(call: RepositoryCall) {
  const { world, repository } = call;
  const sha = await commitOf(call);
  const url = `${shapes.repositoryUrl(world, repository)}/commits/${sha}`;
  const latest = latestStatuses(repository, sha);
  const { items, headers } = page(call, latest, new URL(`${url}/status`).pathname);
  const states = new Set(latest.map(({ state }) => state));
  const failed = states.has('failure') || states.has('error');
  const body = {
    sha,
    state: failed ? 'failure' : states.size === 0 || states.has('pending') ? 'pending' : 'success',
    total_count: latest.length,
    statuses: items.map((status) => statusShape(call, status)),
    repository: shapes.minimalRepository(world, repository),
    commit_url: url,
    url: `${url}/status`,
  };
  return { status: 200, body, headers };
}

async function listStatuses(call: RepositoryCall) {
  const sha = await commitOf(call);
  const newestFirst = call.repository.statuses.filter((status) => status.sha === sha).reverse();
  const path = new URL(`${shapes.repositoryUrl(call.world, call.repository)}/commits/${sha}/statuses`).pathname;
  const { items, headers } = page(call, newestFirst, path);
  const body = items.map((status) => ({ ...statusShape(call, status), creator: shapes.user(call.world, status.creator) }));
  return { status: 200, body, headers };
}

function checkRunShape({ world, repository }: RepositoryCall, run: CheckRun) {
  const url = `${shapes.repositoryUrl(world, repository)}/check-runs/${run.id}`;
  return {
    id: run.id,
    node_id: shapes.nodeId('CheckRun', run.id),
    head_sha: run.sha,
    name: run.name,
    url,
    html_url: `${shapes.webUrl(world, repository)}/runs/${run.id}`,
    details_url: null,
    external_id: null,
    status: run.status,
    conclusion: run.conclusion,
    started_at: run.at,
    completed_at: run.status === 'completed' ? run.at : null,
    check_suite: { id: suiteOf(run.sha) },
    output: { title: null, summary: null, text: null, annotations_count: 0, annotations_url: `${url}/annotations` },
    app: null,
    pull_requests: [],
  };
}

/** One suite a commit. */
function suiteOf(sha: string): number {
  return Number.parseInt(sha.slice(0, 8), 16);
}

async function listCheckRuns(call: RepositoryCall) {
  const sha = await commitOf(call);
  const all = call.query.get('filter') === 'all';
  const runs = all ? call.repository.checkRuns.filter((run) => run.sha === sha) : latestCheckRuns(call.repository, sha);
  const path = new URL(`${shapes.repositoryUrl(call.world, call.repository)}/commits/${sha}/check-runs`).pathname;
  const { items, headers } = page(call, runs, path);
  return { status: 200, body: { total_count: runs.length, check_runs: items.map((run) => checkRunShape(call, run)) }, headers };
}

async function listCheckSuites(call: RepositoryCall) {
  const sha = await commitOf(call);
  const suite = await checkSuite(call.world, call.repository, sha);
  return { status: 200, body: { total_count: suite ? 1 : 0, check_suites: suite ? [suite] : [] } };
}

/** A test reports a check run; once all of the commit are completed, so is their suite. */
export function reportCheckRun(world: World, repository: Repository, run: Omit<CheckRun, 'id' | 'at'>): void {
  repository.checkRuns.push({ id: world.nextId(), at: now(), ...run });
  const runs = latestCheckRuns(repository, run.sha);
  if (runs.some(({ status }) => status !== 'completed')) return;
  world.announce('check_suite', repository, 'octocat', async () => {
    const pulls = repository.pulls.filter(({ head, state }) => head === run.sha && state === 'open');
    const suite = await checkSuite(world, repository, run.sha);
    return {
      action: 'completed',
      check_suite: {
        ...suite,
        head_branch: pulls[0]?.branch ?? null,
        pull_requests: pulls.map(({ id, number, branch, base, head }) => ({
          id,
          number,
          url: `${shapes.repositoryUrl(world, repository)}/pulls/${number}`,
          head: { ref: branch, sha: head, repo: { id: repository.id, name: repository.name } },
          base: { ref: base, repo: { id: repository.id, name: repository.name } },
        })),
      },
    };
  });
}

async function checkSuite(world: World, repository: Repository, sha: string) {
  const runs = latestCheckRuns(repository, sha);
  if (runs.length === 0) return undefined;
  const url = `${shapes.repositoryUrl(world, repository)}/check-suites/${suiteOf(sha)}`;
  const { tree, message, author } = await repository.git.readCommit(sha);
  const person = { name: author.name, email: author.email };
  const done = runs.every((run) => run.status === 'completed');
  return {
    id: suiteOf(sha),
    node_id: shapes.nodeId('CheckSuite', suiteOf(sha)),
    head_branch: null,
    head_sha: sha,
    status: done ? 'completed' : 'in_progress',
    conclusion: done ? (runs.every((run) => run.conclusion === 'success') ? 'success' : 'failure') : null,
    url,
    before: null,
    after: null,
    pull_requests: [],
    app: null,
    repository: shapes.minimalRepository(world, repository),
    created_at: now(),
    updated_at: now(),
    head_commit: { id: sha, tree_id: tree, message, timestamp: author.date, author: person, committer: person },
    latest_check_runs_count: runs.length,
    check_runs_url: `${url}/check-runs`,
  };
}

export const checkRoutes: Routes = {
  'repos/create-commit-status': onRepository(['statuses=write'], createStatus),
  'repos/get-combined-status-for-ref': onRepository(['statuses=read'], combinedStatus),
  'repos/list-commit-statuses-for-ref': onRepository(['statuses=read'], listStatuses),
  'checks/list-for-ref': onRepository(['checks=read'], listCheckRuns),
  'checks/list-suites-for-ref': onRepository(['checks=read'], listCheckSuites),
};
