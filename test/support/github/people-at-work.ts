import { join } from 'node:path';
import { GitRepository, noCommit } from './git-repository.ts';
import { type MergeSettings, now, type Repository, type World } from './state.ts';

/** What people do beside Landfall: repositories are made, and commits are pushed by git. */

export interface NewRepository {
  /** Text by path. */
  readonly files?: Readonly<Record<string, string>>;
  readonly defaultBranch?: string;
  /** Seen only by tokens that name it, and by tokens for all repositories. */
  readonly private?: boolean;
  /** Who can be asked for a review and be assigned. */
  readonly collaborators?: readonly string[];
  /** Slugs of teams that can be asked for a review. */
  readonly teams?: readonly string[];
  /** Which ways to merge are allowed, and whether merged branches are deleted; all of them, and not. */
  readonly settings?: Partial<MergeSettings>;
}

export interface PersonsCommit {
  readonly branch: string;
  /** Content by path; null removes the file. */
  readonly files: Readonly<Record<string, string | Buffer | null>>;
  /** By path: `100755`, or `120000` for a symbolic link whose content is its target. Absent: as before, or a plain file. */
  readonly modes?: Readonly<Record<string, string>>;
  readonly message?: string;
  readonly author?: string;
}

/** @param folder where repositories are kept */
export async function createRepository(
  world: World,
  folder: string,
  fullName: string,
  options: NewRepository = {},
): Promise<Repository> {
  const [owner = '', name = ''] = fullName.split('/');
  const { defaultBranch = 'main', collaborators = [], teams = [] } = options;
  const repository: Repository = {
    id: world.nextId(),
    owner,
    name,
    fullName,
    git: await GitRepository.create(join(folder, owner, `${name}.git`), defaultBranch),
    defaultBranch,
    private: options.private ?? false,
    createdAt: now(),
    collaborators: new Set(['octocat', ...collaborators]),
    teams: new Set(teams),
    labels: new Map(),
    pulls: [],
    statuses: [],
    checkRuns: [],
    headRuns: [],
    protections: new Map(),
    dispatches: [],
    settings: { squash: true, merge: true, rebase: true, deletesBranches: false, ...options.settings },
  };
  world.repositories.set(fullName.toLowerCase(), repository);
  await pushCommit(repository, {
    branch: defaultBranch,
    files: options.files ?? { 'README.md': `# ${name}\n` },
    message: 'Initial commit',
  });
  return repository;
}

/** @returns the id of the commit */
export async function pushCommit(repository: Repository, commit: PersonsCommit): Promise<string> {
  const { git, defaultBranch } = repository;
  const { branch, files, modes = {}, author = 'octocat', message = `Change ${Object.keys(files).join(', ')}` } = commit;
  const head = await git.branchHead(branch);
  const parent = head ?? (await git.branchHead(defaultBranch));
  const entries = [];
  for (const [path, text] of Object.entries(files)) {
    const before = parent === undefined ? undefined : await git.entry(parent, path);
    const sha = text === null ? null : await git.writeBlob(Buffer.from(text));
    entries.push({ path, mode: modes[path] ?? before?.mode ?? '100644', sha });
  }
  const tree = await git.writeTree(parent, entries);
  const person = { name: author, email: `${author}@example.org`, date: now() };
  const parents = parent === undefined ? [] : [parent];
  const sha = await git.writeCommit({ tree, parents, message, author: person, committer: person });
  await git.updateRef(`refs/heads/${branch}`, sha, head ?? noCommit);
  return sha;
}
