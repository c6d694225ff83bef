import { ErrorReply, notFound, onRepository, page, type RepositoryCall, type Routes } from '../routing.ts';
import * as shapes from '../shapes.ts';
import { now, type Protection, refreshPulls } from '../state.ts';

/** What is asked about a repository as a whole, its commits, its branches and its files: https://docs.github.com/rest/repos */

async function get({ world, account, repository }: RepositoryCall) {
  // What may be merged how is told to those who administer the repository only.
  const mayAdminister = account.permissions.administration !== undefined;
  const shape = shapes.fullRepository(world, repository, mayAdminister);
  return { status: 200, body: { ...shape, network_count: 0, subscribers_count: 0 } };
}

/** Newest first. */
async function listCommits(call: RepositoryCall) {
  const { world, repository, query } = call;
  const { git } = repository;
  const start = await git.resolve(query.get('sha') ?? repository.defaultBranch, 'commit');
  if (start === undefined) throw notFound();
  const path = query.get('path');
  const listed = await git.git(['rev-list', start, '--', ...(path === null ? [] : [`:(literal)${path}`])]);
  const { items, headers } = page(
    call,
    listed.split('\n').filter(Boolean),
    new URL(`${shapes.repositoryUrl(world, repository)}/commits`).pathname,
  );
  const commits = await Promise.all(items.map((sha) => git.readCommit(sha)));
  return { status: 200, body: commits.map((commit) => shapes.commit(world, repository, commit)), headers };
}

async function dispatch({ repository, body }: RepositoryCall) {
  const { event_type: eventType, client_payload: payload = {} } = body as {
    event_type: string;
    client_payload?: Record<string, unknown>;
  };
  repository.dispatches.push({ eventType, payload });
  return { status: 204 };
}

async function getCommit({ world, repository, parameters }: RepositoryCall) {
  const sha = await repository.git.resolve(parameters.ref ?? '', 'commit');
  if (sha === undefined) throw new ErrorReply(422, `No commit found for SHA: ${parameters.ref}`);
  return { status: 200, body: shapes.commit(world, repository, await repository.git.readCommit(sha)) };
}

async function compare(call: RepositoryCall) {
  const { world, repository, parameters, query } = call;
  const { git } = repository;
  const [from = '', to = ''] = (parameters.basehead ?? '').split('...');
  const [base, head] = [await git.resolve(from, 'commit'), await git.resolve(to, 'commit')];
  if (base === undefined || head === undefined) throw notFound();
  const mergeBase = await git.mergeBase(base, head);
  if (mergeBase === undefined) throw new ErrorReply(404, `No common ancestor between ${from} and ${to}.`);
  const commits = await git.commitsBetween(base, head);
  const behind = await git.countBetween(head, base);
  const url = `${shapes.repositoryUrl(world, repository)}/compare/${from}...${to}`;
  const web = `${shapes.webUrl(world, repository)}/compare/${from}...${to}`;
  const paged = page(call, commits, new URL(url).pathname);
  // Without page parameters GitHub gives the newest 250 commits, and says how many there are.
  const shown = query.has('page') || query.has('per_page') ? paged : { items: commits.slice(-250), headers: {} };
  const body = {
    url,
    html_url: web,
    permalink_url: web,
    diff_url: `${web}.diff`,
    patch_url: `${web}.patch`,
    base_commit: shapes.commit(world, repository, await git.readCommit(base)),
    merge_base_commit: shapes.commit(world, repository, await git.readCommit(mergeBase)),
    status: commits.length > 0 ? (behind > 0 ? 'diverged' : 'ahead') : behind > 0 ? 'behind' : 'identical',
    ahead_by: commits.length,
    behind_by: behind,
    total_commits: commits.length,
    commits: shown.items.map((commit) => shapes.commit(world, repository, commit)),
    files: [],
  };
  return { status: 200, body, headers: shown.headers };
}

async function getBranch({ world, repository, parameters }: RepositoryCall) {
  const branch = parameters.branch ?? '';
  const sha = await repository.git.branchHead(branch);
  if (sha === undefined) throw new ErrorReply(404, 'Branch not found');
  const url = `${shapes.repositoryUrl(world, repository)}/branches/${branch}`;
  const found = repository.protections.get(branch);
  const protection = found?.ruleset ? undefined : found;
  const contexts = protection?.contexts ?? [];
  const body = {
    name: branch,
    commit: shapes.commit(world, repository, await repository.git.readCommit(sha)),
    _links: { self: url, html: `${shapes.webUrl(world, repository)}/tree/${branch}` },
    protected: protection !== undefined,
    protection: {
      enabled: protection !== undefined,
      required_status_checks: { enforcement_level: protection ? 'everyone' : 'off', contexts, checks: checksOf(contexts) },
    },
    protection_url: `${url}/protection`,
  };
  return { status: 200, body };
}

async function branchShapes({ world, repository }: RepositoryCall) {
  const refs = await repository.git.refs('refs/heads/');
  return refs.map(({ ref, sha }) => {
    const name = ref.slice('refs/heads/'.length);
    const commit = { sha, url: `${shapes.repositoryUrl(world, repository)}/commits/${sha}` };
    return { name, commit, protected: repository.protections.has(name) };
  });
}

async function listBranches(call: RepositoryCall) {
  const wanted = call.query.get('protected');
  const all = await branchShapes(call);
  const found = all.filter((branch) => wanted === null || String(branch.protected) === wanted);
  const { items, headers } = page(call, found, new URL(`${shapes.repositoryUrl(call.world, call.repository)}/branches`).pathname);
  return { status: 200, body: items, headers };
}

async function listBranchesAt(call: RepositoryCall) {
  const sha = call.parameters.commit_sha;
  if ((await call.repository.git.resolve(sha ?? '', 'commit')) === undefined) {
    throw new ErrorReply(422, `No commit found for SHA: ${sha}`);
  }
  return { status: 200, body: (await branchShapes(call)).filter(({ commit }) => commit.sha === sha) };
}

function checksOf(contexts: readonly string[]) {
  return contexts.map((context) => ({ context, app_id: null }));
}

function protectionShape(url: string, protection: Protection) {
  const contexts = [...protection.contexts];
  return {
    url,
    required_status_checks: {
      url: `${url}/required_status_checks`,
      strict: protection.strict ?? false,
      contexts,
      contexts_url: `${url}/required_status_checks/contexts`,
      checks: checksOf(contexts),
    },
    required_pull_request_reviews: {
      url: `${url}/required_pull_request_reviews`,
      dismiss_stale_reviews: false,
      require_code_owner_reviews: false,
      required_approving_review_count: protection.approvals,
    },
    enforce_admins: { url: `${url}/enforce_admins`, enabled: true },
    allow_force_pushes: { enabled: false },
    allow_deletions: { enabled: false },
  };
}

async function getProtection({ world, repository, parameters }: RepositoryCall) {
  const protection = repository.protections.get(parameters.branch ?? '');
  if (protection === undefined || protection.ruleset) throw new ErrorReply(404, 'Branch not protected');
  const url = `${shapes.repositoryUrl(world, repository)}/branches/${parameters.branch}/protection`;
  return { status: 200, body: protectionShape(url, protection) };
}

async function protect({ world, repository, parameters, body }: RepositoryCall) {
  const { required_status_checks: checks, required_pull_request_reviews: reviews } = body as {
    required_status_checks: { contexts: string[]; strict?: boolean } | null;
    required_pull_request_reviews: { required_approving_review_count?: number } | null;
  };
  const branch = parameters.branch ?? '';
  if ((await repository.git.branchHead(branch)) === undefined) throw new ErrorReply(404, 'Branch not found');
  const protection: Protection = {
    contexts: checks?.contexts ?? [],
    approvals: reviews?.required_approving_review_count ?? 0,
    strict: checks?.strict ?? false,
  };
  repository.protections.set(branch, protection);
  const url = `${shapes.repositoryUrl(world, repository)}/branches/${branch}/protection`;
  return { status: 200, body: protectionShape(url, protection) };
}

async function unprotect({ repository, parameters }: RepositoryCall) {
  if (!repository.protections.delete(parameters.branch ?? '')) throw new ErrorReply(404, 'Branch not protected');
  return { status: 204 };
}

async function getContent({ world, repository, parameters, query }: RepositoryCall) {
  const { git } = repository;
  const commit = await git.resolve(query.get('ref') ?? repository.defaultBranch, 'commit');
  const entry = commit === undefined ? undefined : await git.entry(commit, parameters.path ?? '');
  if (entry?.type !== 'blob') throw notFound();
  const content = await git.readBlob(entry.sha);
  // From 1 MB on the answer has no content: the blob is to be asked for.
  const small = content.length <= 2 ** 20;
  const text = small ? content.toString('base64') : '';
  return { status: 200, body: { ...contentShape(), content: text, encoding: small ? 'base64' : 'none' } };

  function contentShape() {
    const api = shapes.repositoryUrl(world, repository);
    const path = parameters.path ?? '';
    const [self, git] = [`${api}/contents/${path}?ref=${commit}`, `${api}/git/blobs/${entry?.sha}`];
    const html = `${shapes.webUrl(world, repository)}/blob/${commit}/${path}`;
    return {
      type: 'file',
      name: path.slice(path.lastIndexOf('/') + 1),
      path,
      sha: entry?.sha,
      size: content.length,
      url: self,
      git_url: git,
      html_url: html,
      download_url: html,
      _links: { self, git, html },
    };
  }
}

async function putContent(call: RepositoryCall) {
  const { world, account, repository, parameters } = call;
  const { git } = repository;
  const {
    message,
    content,
    sha,
    branch = repository.defaultBranch,
  } = call.body as {
    message: string;
    content: string;
    sha?: string;
    branch?: string;
  };
  const path = parameters.path ?? '';
  const head = await git.branchHead(branch);
  if (head === undefined) throw new ErrorReply(404, `Branch ${branch} not found`);
  if (repository.protections.has(branch)) {
    throw new ErrorReply(409, 'Could not update file: Changes must be made through a pull request.');
  }
  const before = await git.entry(head, path);
  if (before !== undefined && sha === undefined) throw new ErrorReply(422, 'Invalid request.\n\n"sha" wasn\'t supplied.');
  if (before?.sha !== sha) throw new ErrorReply(409, `${path} does not match ${sha}`);
  const blob = await git.writeBlob(Buffer.from(content, 'base64'));
  const tree = await git.writeTree(head, [{ path, mode: before?.mode ?? '100644', sha: blob }]);
  const person = { name: account.login, email: `${account.login}@users.noreply.github.com`, date: now() };
  const commit = await git.writeCommit({ tree, parents: [head], message, author: person, committer: person });
  await git.updateRef(`refs/heads/${branch}`, commit, head);
  await refreshPulls(world, repository);
  const written = { name: path.slice(path.lastIndexOf('/') + 1), path, sha: blob, size: content.length, type: 'file' };
  const body = { content: written, commit: shapes.gitCommit(world, repository, await git.readCommit(commit)) };
  return { status: before === undefined ? 201 : 200, body };
}

export const repositoryRoutes: Routes = {
  'repos/get': onRepository([], get),
  'repos/list-commits': onRepository(['contents=read'], listCommits),
  'repos/create-dispatch-event': onRepository(['contents=write'], dispatch),
  'repos/get-commit': onRepository(['contents=read'], getCommit),
  'repos/compare-commits-with-basehead': onRepository(['contents=read'], compare),
  'repos/list-branches': onRepository(['contents=read'], listBranches),
  'repos/list-branches-for-head-commit': onRepository(['contents=read'], listBranchesAt),
  'repos/get-branch': onRepository(['contents=read'], getBranch),
  'repos/get-branch-protection': onRepository(['administration=read'], getProtection),
  'repos/update-branch-protection': onRepository(['administration=write'], protect),
  'repos/delete-branch-protection': onRepository(['administration=write'], unprotect),
  'repos/get-content': onRepository(['contents=read'], getContent),
  'repos/create-or-update-file-contents': onRepository(['contents=write'], putContent),
};
