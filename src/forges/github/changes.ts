import { Refusal } from '../../domain/failures.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';
import type { Changes, FileChange } from '../forge.ts';

/**
 * What a branch changes, from git's own trees: GitHub's comparison of two commits lists 300 files at most, and tells no modes.
 * https://docs.github.com/rest/commits/commits#compare-two-commits
 */

/** Trees that are asked for, and files that are listed, at most: Landfall's own change is one file, some folders down. */
const mostTrees = 100;
const mostFiles = 1_000;

/** Every file that `head` has changed since it parted from `base`. */
export async function changesBetween(repository: GitHubRepository, base: string, head: string): Promise<Changes> {
  const parted = await compare(repository, base, head);
  const since = parted.merge_base_commit.sha;
  // GitHub names one commit that the two have in common. Where it is the only one, what `head` has and it has not is what `base` has not.
  if (since !== base && (await compare(repository, since, head)).ahead_by !== parted.ahead_by) return { files: [], more: true };
  return { since, ...(await listChanges(repository, since, head)) };
}

async function compare({ octokit, named }: GitHubRepository, base: string, head: string) {
  const basehead = `${base}...${head}`;
  return (await octokit.rest.repos.compareCommitsWithBasehead({ ...named, basehead, per_page: 1 })).data;
}

interface GitHubTreeEntry {
  readonly path: string;
  readonly mode: string;
  readonly type: string;
  readonly sha: string;
}

/** Two versions of a folder; absent if there is none. */
interface FolderPair {
  readonly path: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Folders that are the same have the same hash, and are not looked into. */
async function listChanges(repository: GitHubRepository, since: string, head: string): Promise<Omit<Changes, 'since'>> {
  const files: FileChange[] = [];
  const folders: FolderPair[] = [{ path: '', before: since, after: head }];
  let asked = 0;
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    asked += 2;
    if (asked > mostTrees || files.length > mostFiles) return { files: files.slice(0, mostFiles), more: true };
    const before = await readTree(repository, folder.before);
    const after = await readTree(repository, folder.after);
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      const [from, to] = [before.get(name), after.get(name)];
      if (from?.sha === to?.sha && from?.mode === to?.mode) continue;
      const path = `${folder.path}${name}`;
      const [file, inside] = [changeOf(path, from, to), folderOf(path, from, to)];
      if (file !== undefined) files.push(file);
      if (inside !== undefined) folders.push(inside);
    }
  }
  return { files: files.slice(0, mostFiles), more: files.length > mostFiles };
}

function changeOf(path: string, from: GitHubTreeEntry | undefined, to: GitHubTreeEntry | undefined): FileChange | undefined {
  const [before, after] = [from, to].map((entry) => (entry === undefined || isFolder(entry) ? undefined : entry.mode));
  if (before === undefined && after === undefined) return undefined;
  return { path, ...(before !== undefined && { before }), ...(after !== undefined && { after }) };
}

function folderOf(path: string, from: GitHubTreeEntry | undefined, to: GitHubTreeEntry | undefined): FolderPair | undefined {
  const [before, after] = [from, to].map((entry) => (entry !== undefined && isFolder(entry) ? entry.sha : undefined));
  return before === undefined && after === undefined ? undefined : { path: `${path}/`, before, after };
}

function isFolder({ type }: GitHubTreeEntry): boolean {
  return type === 'tree';
}

/** @param sha of a tree, or of a commit, whose tree is meant */
async function readTree(
  { octokit, named, fullName }: GitHubRepository,
  sha: string | undefined,
): Promise<ReadonlyMap<string, GitHubTreeEntry>> {
  if (sha === undefined) return new Map();
  const { data } = await octokit.rest.git.getTree({ ...named, tree_sha: sha });
  if (data.truncated) {
    throw new Refusal(
      'ForgeRefused',
      `a folder of ${fullName} has more entries than GitHub lists, so nobody can tell what a merge would bring: merge by hand (merge: manual)`,
    );
  }
  return new Map(data.tree.map((entry) => [entry.path, entry]));
}
