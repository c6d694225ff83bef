import { GitError, noCommit } from '../git-repository.ts';
import { ErrorReply, notFound, onRepository, type RepositoryCall, type Routes, validationFailed } from '../routing.ts';
import * as shapes from '../shapes.ts';
import { now, refreshPulls } from '../state.ts';

/** Refs, trees, blobs and commits: https://docs.github.com/rest/git */

function refShape({ world, repository }: RepositoryCall, ref: string, sha: string) {
  const url = shapes.repositoryUrl(world, repository);
  const object = { type: 'commit', sha, url: `${url}/git/commits/${sha}` };
  return { ref, node_id: shapes.nodeId('Ref', ref), url: `${url}/git/${ref}`, object };
}

async function getRef(call: RepositoryCall) {
  const ref = `refs/${call.parameters.ref}`;
  const sha = await call.repository.git.resolve(ref, 'commit');
  if (sha === undefined) throw notFound();
  return { status: 200, body: refShape(call, ref, sha) };
}

async function matchingRefs(call: RepositoryCall) {
  const refs = await call.repository.git.refs('refs/');
  const matching = refs.filter(({ ref }) => ref.startsWith(`refs/${call.parameters.ref}`));
  return { status: 200, body: matching.map(({ ref, sha }) => refShape(call, ref, sha)) };
}

async function createRef(call: RepositoryCall) {
  const { ref, sha } = call.body as { ref: string; sha: string };
  const { git } = call.repository;
  if (!/^refs\/[^/]+\/./.test(ref)) throw new ErrorReply(422, `${ref} is not a valid ref name.`);
  if ((await git.resolve(sha, 'commit')) !== sha) throw new ErrorReply(422, 'Object does not exist');
  if ((await git.resolve(ref, 'commit')) !== undefined) throw new ErrorReply(422, 'Reference already exists');
  await updateOrRefuse(call, ref, sha, noCommit);
  return { status: 201, body: refShape(call, ref, sha) };
}

async function updateRef(call: RepositoryCall) {
  const { sha, force = false } = call.body as { sha: string; force?: boolean };
  const { git, protections } = call.repository;
  const ref = `refs/${call.parameters.ref}`;
  const from = await git.resolve(ref, 'commit');
  if (from === undefined) throw new ErrorReply(422, 'Reference does not exist');
  if ((await git.resolve(sha, 'commit')) !== sha) throw new ErrorReply(422, 'Object does not exist');
  if (protections.has(branchOf(ref))) {
    throw new ErrorReply(422, force ? 'Cannot force-push to this branch' : 'Changes must be made through a pull request.');
  }
  if (!force && !(await git.isAncestor(from, sha))) throw new ErrorReply(422, 'Update is not a fast forward');
  await updateOrRefuse(call, ref, sha, from);
  return { status: 200, body: refShape(call, ref, sha) };
}

async function deleteRef(call: RepositoryCall) {
  const { git, protections } = call.repository;
  const ref = `refs/${call.parameters.ref}`;
  if ((await git.resolve(ref, 'commit')) === undefined) throw new ErrorReply(422, 'Reference does not exist');
  if (protections.has(branchOf(ref))) throw new ErrorReply(422, 'Cannot delete this protected branch');
  await git.deleteRef(ref);
  await refreshPulls(call.world, call.repository);
  return { status: 204 };
}

/** Git itself is the last to say no: to a bad name, to `a/b` where there is `a`, to a ref that moved meanwhile. */
async function updateOrRefuse(call: RepositoryCall, ref: string, to: string, from: string): Promise<void> {
  try {
    await call.repository.git.updateRef(ref, to, from);
  } catch (error) {
    if (error instanceof GitError) throw new ErrorReply(422, 'Reference update failed');
    throw error;
  }
  await refreshPulls(call.world, call.repository);
}

function branchOf(ref: string): string {
  return ref.slice('refs/heads/'.length);
}

async function getTree(call: RepositoryCall) {
  const { world, repository, parameters, query } = call;
  const sha = await repository.git.resolve(parameters.tree_sha ?? '', 'tree');
  if (sha === undefined) throw notFound();
  const url = shapes.repositoryUrl(world, repository);
  const entries = await repository.git.readTree(sha, query.has('recursive'));
  const kinds: Record<string, string> = { blob: 'blobs', tree: 'trees', commit: 'commits' };
  const tree = entries.map((entry) => ({ ...entry, url: `${url}/git/${kinds[entry.type]}/${entry.sha}` }));
  return { status: 200, body: { sha, url: `${url}/git/trees/${sha}`, tree, truncated: false } };
}

interface NewEntry {
  readonly path?: string;
  readonly mode?: string;
  readonly sha?: string | null;
  readonly content?: string;
}

async function createTree(call: RepositoryCall) {
  const { world, repository } = call;
  const { base_tree: base, tree } = call.body as { base_tree?: string; tree: NewEntry[] };
  const { git } = repository;
  if (base !== undefined && (await git.resolve(base, 'tree')) === undefined) throw notFound();
  const entries = [];
  for (const { path = '', mode = '100644', sha, content } of tree) {
    if (path === '' || path.startsWith('/')) throw new ErrorReply(422, 'tree.path contains a malformed path component');
    const written = content === undefined ? sha : await git.writeBlob(Buffer.from(content));
    if (written === undefined) throw new ErrorReply(422, "Must supply either tree.sha or tree.content in 'tree'");
    if (written !== null && (await git.resolve(written, 'blob')) !== written) {
      throw new ErrorReply(422, `tree.sha ${written} is not a valid blob`);
    }
    entries.push({ path, mode, sha: written });
  }
  const sha = await git.writeTree(base, entries);
  const url = shapes.repositoryUrl(world, repository);
  return { status: 201, body: { sha, url: `${url}/git/trees/${sha}`, tree: await git.readTree(sha, false), truncated: false } };
}

async function getBlob({ world, repository, parameters }: RepositoryCall) {
  const sha = await repository.git.resolve(parameters.file_sha ?? '', 'blob');
  if (sha === undefined) throw notFound();
  const content = await repository.git.readBlob(sha);
  if (content.length > 100 * 2 ** 20) throw new ErrorReply(403, 'This API returns blobs up to 100 MB in size.');
  const url = `${shapes.repositoryUrl(world, repository)}/git/blobs/${sha}`;
  // GitHub breaks the text into lines of 60 characters.
  const lines = content.toString('base64').replaceAll(/.{60}/g, '$&\n');
  const body = { sha, url, node_id: shapes.nodeId('Blob', sha), size: content.length, content: lines, encoding: 'base64' };
  return { status: 200, body };
}

async function createBlob({ world, repository, body }: RepositoryCall) {
  const { content, encoding = 'utf-8' } = body as { content: string; encoding?: string };
  if (encoding !== 'utf-8' && encoding !== 'base64') throw validationFailed('Blob', 'encoding must be utf-8 or base64');
  const sha = await repository.git.writeBlob(Buffer.from(content, encoding));
  return { status: 201, body: { sha, url: `${shapes.repositoryUrl(world, repository)}/git/blobs/${sha}` } };
}

async function getCommit({ world, repository, parameters }: RepositoryCall) {
  const sha = await repository.git.resolve(parameters.commit_sha ?? '', 'commit');
  if (sha === undefined || sha !== parameters.commit_sha) throw notFound();
  return { status: 200, body: shapes.gitCommit(world, repository, await repository.git.readCommit(sha)) };
}

interface NewCommit {
  readonly message: string;
  readonly tree: string;
  readonly parents?: string[];
  readonly author?: { readonly name: string; readonly email: string; readonly date?: string };
}

async function createCommit({ world, account, repository, body }: RepositoryCall) {
  const { message, tree, parents = [], author } = body as NewCommit;
  const { git } = repository;
  if ((await git.resolve(tree, 'tree')) !== tree) throw new ErrorReply(422, 'Tree SHA does not exist');
  for (const parent of parents) {
    if ((await git.resolve(parent, 'commit')) !== parent)
      throw new ErrorReply(422, 'Parent SHA does not exist or is not a commit object');
  }
  const person = { name: account.login, email: `${account.login}@users.noreply.github.com`, date: now() };
  const sha = await git.writeCommit({
    tree,
    parents,
    message,
    author: { ...person, ...author },
    committer: { ...person, ...author },
  });
  return { status: 201, body: shapes.gitCommit(world, repository, await git.readCommit(sha)) };
}

const read = ['contents=read'];
const write = ['contents=write'];

export const gitDatabaseRoutes: Routes = {
  'git/get-ref': onRepository(read, getRef),
  'git/list-matching-refs': onRepository(read, matchingRefs),
  'git/create-ref': onRepository(write, createRef),
  'git/update-ref': onRepository(write, updateRef),
  'git/delete-ref': onRepository(write, deleteRef),
  'git/get-tree': onRepository(read, getTree),
  'git/create-tree': onRepository(write, createTree),
  'git/get-blob': onRepository(read, getBlob),
  'git/create-blob': onRepository(write, createBlob),
  'git/get-commit': onRepository(read, getCommit),
  'git/create-commit': onRepository(write, createCommit),
};
