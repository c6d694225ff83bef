import { Refusal } from '../../domain/failures.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { type GitHubRepository, headOf, ifExists } from '../../platform/github/repository.ts';
import { BranchMoved, type FileCommit } from '../forge.ts';

/** Files are read and written through git's own objects: the contents API gives 1 MB at most, and forgets that a file is executable. */

const symbolicLink = '120000';
const plainFile = '100644';

interface GitHubFileEntry {
  readonly mode: string;
  readonly type: string;
  readonly sha: string;
}

/** The text (UTF-8) of a file at a commit. GitHub's limit is 100 MB. @throws Refusal if it is no text, or a symbolic link */
export async function readText(repository: GitHubRepository, commit: string, path: string): Promise<string | undefined> {
  const entry = await entryAt(repository, commit, path);
  if (entry?.type !== 'blob') return undefined;
  const bytes = await readBlob(repository, entry.sha);
  const where = `${path} in ${repository.fullName}`;
  if (entry.mode === symbolicLink) {
    throw new Refusal(
      'EditRefused',
      `${where} is a symbolic link to ${bytes.toString('utf8').slice(0, 200)}: name that file in change.file`,
    );
  }
  try {
    // A byte order mark is a part of the file, too.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Refusal('EditRefused', `${where} is not UTF-8 text: save it as UTF-8`, [], { cause });
  }
}

async function readBlob({ octokit, named }: GitHubRepository, sha: string): Promise<Buffer> {
  const { data } = await octokit.rest.git.getBlob({ ...named, file_sha: sha });
  if (data.encoding !== 'base64' && data.encoding !== 'utf-8') {
    throw new Error(`expected blob ${sha} as base64 or utf-8, found '${data.encoding}'`);
  }
  return Buffer.from(data.content, data.encoding);
}

/** Goes down the path folder by folder: the listing of a whole repository may be cut off, and is large. */
async function entryAt(repository: GitHubRepository, commit: string, path: string): Promise<GitHubFileEntry | undefined> {
  const { octokit, named, fullName } = repository;
  let entry: GitHubFileEntry = { mode: '040000', type: 'tree', sha: commit };
  for (const name of path.split('/').filter((segment) => segment !== '' && segment !== '.')) {
    if (entry.type !== 'tree') return undefined;
    const { sha } = entry;
    const listed = await ifExists(repository, () => octokit.rest.git.getTree({ ...named, tree_sha: sha }));
    const found = listed?.data.tree.find((candidate) => candidate.path === name);
    if (found !== undefined) {
      entry = found;
      continue;
    }
    if (!listed?.data.truncated) return undefined;
    throw new Refusal('ForgeRefused', `a folder of ${path} in ${fullName} has more entries than GitHub lists: move the file`);
  }
  return entry;
}

/** @returns the new commit @throws BranchMoved */
export async function commitFile(repository: GitHubRepository, commit: FileCommit): Promise<string> {
  const { branch, expectedHead } = commit;
  // GitHub moves a branch to any descendant of where it is: only we can see that it was rewound. It also avoids creating objects in vain.
  if ((await headOf(repository, branch)) !== expectedHead) throw new BranchMoved(repository.fullName, branch);
  const sha = await writeCommit(repository, commit);
  try {
    await moveBranch(repository, branch, expectedHead, sha);
  } catch (error) {
    if (!answeredWith(error, 422)) throw error;
    // Not a fast forward, exists already, exists no more, or protected: where the branch is now tells which.
    if ((await headOf(repository, branch)) !== expectedHead) throw new BranchMoved(repository.fullName, branch);
    throw error;
  }
  return sha;
}

async function writeCommit(repository: GitHubRepository, commit: FileCommit): Promise<string> {
  const { octokit, named } = repository;
  const { treeOf, path, text, message, parents } = commit;
  const base = await octokit.rest.git.getCommit({ ...named, commit_sha: treeOf });
  const mode = fileMode(await entryAt(repository, treeOf, path));
  // Base64 carries every byte as it is, a byte order mark too.
  const content = Buffer.from(text, 'utf8').toString('base64');
  const blob = await octokit.rest.git.createBlob({ ...named, content, encoding: 'base64' });
  const tree = await octokit.rest.git.createTree({
    ...named,
    base_tree: base.data.tree.sha,
    tree: [{ path, mode, type: 'blob', sha: blob.data.sha }],
  });
  // Without author and committer it is the token's owner, and GitHub signs the commits of apps.
  const made = await octokit.rest.git.createCommit({ ...named, message, tree: tree.data.sha, parents: [...parents] });
  return made.data.sha;
}

function fileMode(entry: GitHubFileEntry | undefined): '100644' | '100755' {
  return entry?.mode === '100755' ? '100755' : plainFile;
}

async function moveBranch(
  { octokit, named }: GitHubRepository,
  branch: string,
  from: string | undefined,
  sha: string,
): Promise<void> {
  if (from === undefined) {
    await octokit.rest.git.createRef({ ...named, ref: `refs/heads/${branch}`, sha });
  } else {
    await octokit.rest.git.updateRef({ ...named, ref: `heads/${branch}`, sha, force: false });
  }
}
