import { Refusal } from '../../domain/failures.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { type GitHubRepository, headOf, ifExists } from '../../platform/github/repository.ts';
import { BranchMoved, type Changes, type Commit, type Comparison, type FileChange, type FilesCommit, textOf } from '../forge.ts';

/** Commits, trees and files through git's own objects: the contents API gives 1 MB at most, and forgets that a file is executable. */

/** Trees that are asked for, and files that are listed, at most: Landfall's own change is a few files, some folders down. */
const mostTrees = 200;
const mostFiles = 1_000;
/** The largest page that GitHub gives. */
const pageSize = 100;

interface TreeEntry {
  readonly mode: string;
  readonly type: string;
  readonly sha: string;
}

/** All commits that `head` has and `base` has not, however many pages they are. */
export async function compareCommits({ octokit, named }: GitHubRepository, base: string, head: string): Promise<Comparison> {
  const commits: Commit[] = [];
  const query = { ...named, basehead: `${base}...${head}`, per_page: pageSize };
  for (let page = 1; ; page += 1) {
    const { data } = await octokit.rest.repos.compareCommitsWithBasehead({ ...query, page });
    for (const { sha, commit } of data.commits) {
      commits.push({ sha, author: commit.author?.name ?? '', message: commit.message });
    }
    // An empty page ends it too: GitHub's count may include what it does not list.
    if (data.commits.length === 0 || commits.length >= data.total_commits) return { commits, behindBy: data.behind_by };
  }
}

/** The newest commit of a line that changed a file, with the first line of its message. */
export async function lastChange(
  { octokit, named }: GitHubRepository,
  commit: string,
  path: string,
): Promise<Commit | undefined> {
  const [newest] = (await octokit.rest.repos.listCommits({ ...named, sha: commit, path, per_page: 1 })).data;
  if (newest === undefined) return undefined;
  const { author, message } = newest.commit;
  return { sha: newest.sha, author: newest.author?.login ?? author?.name ?? '', message: message.split('\n', 1)[0] ?? '' };
}

/**
 * Every file that `head` has changed since it parted from `base`, by git's own trees: GitHub's comparison of two commits lists 300 files at
 * most, and tells no modes. https://docs.github.com/rest/commits/commits#compare-two-commits
 */
export async function changesBetween(repository: GitHubRepository, base: string, head: string): Promise<Changes> {
  const parted = await compareBriefly(repository, base, head);
  const since = parted.merge_base_commit.sha;
  // GitHub names one commit that the two have in common. Where it is the only one, what `head` has and it has not is what `base` has not.
  const isOnly = since === base || (await compareBriefly(repository, since, head)).ahead_by === parted.ahead_by;
  return isOnly ? { since, ...(await listChanges(repository, since, head)) } : { files: [], more: true };
}

async function compareBriefly({ octokit, named }: GitHubRepository, base: string, head: string) {
  const basehead = `${base}...${head}`;
  return (await octokit.rest.repos.compareCommitsWithBasehead({ ...named, basehead, per_page: 1 })).data;
}

/** Folders that are the same have the same hash, and are not looked into. */
async function listChanges(repository: GitHubRepository, since: string, head: string): Promise<Omit<Changes, 'since'>> {
  const files: FileChange[] = [];
  // With their hashes in place of modes.
  const folders: FileChange[] = [{ path: '', before: since, after: head }];
  let asked = 0;
  for (const folder of folders) {
    asked += 2;
    if (asked > mostTrees || files.length > mostFiles) return { files: files.slice(0, mostFiles), more: true };
    const before = await readTree(repository, folder.before);
    const after = await readTree(repository, folder.after);
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      const [from, to] = [before.get(name), after.get(name)];
      if (from?.sha === to?.sha && from?.mode === to?.mode) continue;
      const path = `${folder.path}${name}`;
      files.push(...changeOf(path, modeOfFile(from), modeOfFile(to)));
      folders.push(...changeOf(`${path}/`, hashOfFolder(from), hashOfFolder(to)));
    }
  }
  return { files: files.slice(0, mostFiles), more: files.length > mostFiles };
}

/** None if there is nothing before and after. */
function changeOf(path: string, before: string | undefined, after: string | undefined): FileChange[] {
  if (before === undefined && after === undefined) return [];
  return [{ path, ...(before !== undefined && { before }), ...(after !== undefined && { after }) }];
}

function modeOfFile(entry: TreeEntry | undefined): string | undefined {
  return entry?.type === 'tree' ? undefined : entry?.mode;
}

function hashOfFolder(entry: TreeEntry | undefined): string | undefined {
  return entry?.type === 'tree' ? entry.sha : undefined;
}

/** @param sha of a tree, or of a commit, whose tree is meant */
async function readTree({ octokit, named, fullName }: GitHubRepository, sha?: string): Promise<ReadonlyMap<string, TreeEntry>> {
  if (sha === undefined) return new Map();
  const { data } = await octokit.rest.git.getTree({ ...named, tree_sha: sha });
  if (!data.truncated) return new Map(data.tree.map((entry) => [entry.path, entry]));
  throw new Refusal(
    'ForgeRefused',
    `a folder of ${fullName} has more entries than GitHub lists, so nobody can tell what a merge would bring: merge by hand (merge: manual)`,
  );
}

/** The text (UTF-8) of a file at a commit. GitHub's limit is 100 MB. @throws Refusal if it is no text, or a symbolic link */
export async function readText(repository: GitHubRepository, commit: string, path: string): Promise<string | undefined> {
  const { octokit, named, fullName } = repository;
  const entry = await entryAt(repository, commit, path);
  if (entry?.type !== 'blob') return undefined;
  const { content, encoding } = (await octokit.rest.git.getBlob({ ...named, file_sha: entry.sha })).data;
  if (encoding !== 'base64' && encoding !== 'utf-8') {
    throw new Error(`expected blob ${entry.sha} as base64 or utf-8, found '${encoding}'`);
  }
  return textOf(Buffer.from(content, encoding), entry.mode, `${path} in ${fullName}`);
}

/** Goes down the path folder by folder: the listing of a whole repository may be cut off, and is large. */
async function entryAt(repository: GitHubRepository, commit: string, path: string): Promise<TreeEntry | undefined> {
  const { octokit, named, fullName } = repository;
  let entry: TreeEntry = { mode: '040000', type: 'tree', sha: commit };
  for (const name of path.split('/').filter((segment) => segment !== '' && segment !== '.')) {
    if (entry.type !== 'tree') return undefined;
    const { sha } = entry;
    const listed = await ifExists(repository, () => octokit.rest.git.getTree({ ...named, tree_sha: sha }));
    const found = listed?.data.tree.find((candidate) => candidate.path === name);
    if (found === undefined && listed?.data.truncated) {
      throw new Refusal('ForgeRefused', `a folder of ${path} in ${fullName} has more entries than GitHub lists: move the file`);
    }
    if (found === undefined) return undefined;
    entry = found;
  }
  return entry;
}

/** @returns the new commit @throws BranchMoved */
export async function commitFiles(repository: GitHubRepository, commit: FilesCommit): Promise<string> {
  const { octokit, named, fullName } = repository;
  const { branch, expectedHead } = commit;
  // GitHub moves a branch to any descendant of where it is: only we can see that it was rewound. It also avoids creating objects in vain.
  if ((await headOf(repository, branch)) !== expectedHead) throw new BranchMoved(fullName, branch);
  const sha = await writeCommit(repository, commit);
  try {
    if (expectedHead === undefined) await octokit.rest.git.createRef({ ...named, ref: `refs/heads/${branch}`, sha });
    else await octokit.rest.git.updateRef({ ...named, ref: `heads/${branch}`, sha, force: false });
  } catch (error) {
    // Not a fast forward, exists already, exists no more, or protected: where the branch is now tells which.
    const hasMoved = answeredWith(error, 422) && (await headOf(repository, branch)) !== expectedHead;
    throw hasMoved ? new BranchMoved(fullName, branch) : error;
  }
  return sha;
}

async function writeCommit(repository: GitHubRepository, commit: FilesCommit): Promise<string> {
  const { octokit, named } = repository;
  const { treeOf, files, message, parents } = commit;
  const base = await octokit.rest.git.getCommit({ ...named, commit_sha: treeOf });
  const entries = [];
  for (const { path, text } of files) {
    const mode = (await entryAt(repository, treeOf, path))?.mode === '100755' ? '100755' : '100644';
    // Base64 carries every byte as it is, a byte order mark too.
    const content = Buffer.from(text, 'utf8').toString('base64');
    const blob = await octokit.rest.git.createBlob({ ...named, content, encoding: 'base64' });
    entries.push({ path, mode, type: 'blob', sha: blob.data.sha } as const);
  }
  const tree = await octokit.rest.git.createTree({ ...named, base_tree: base.data.tree.sha, tree: entries });
  // Without author and committer it is the token's owner, and GitHub signs the commits of apps.
  const made = await octokit.rest.git.createCommit({ ...named, message, tree: tree.data.sha, parents: [...parents] });
  return made.data.sha;
}
