import type { Commit, Person } from './git-repository.ts';
import type { Label, Repository, World } from './state.ts';

/** How users, repositories, commits and labels look in GitHub's answers. */

type Shape = Record<string, unknown>;

export function nodeId(kind: string, id: number | string): string {
  return Buffer.from(`${kind}:${id}`).toString('base64');
}

/** A number that is always the same for a login. */
function userId(login: string): number {
  return [...login].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 1_000_003, 7);
}

export function user(world: World, login: string): Shape {
  // The login of an app ends with `[bot]`.
  const path = encodeURIComponent(login);
  const url = `${world.url}/users/${path}`;
  const id = userId(login);
  return {
    login,
    id,
    node_id: nodeId('User', id),
    avatar_url: `${world.url}/avatars/${id}`,
    gravatar_id: '',
    url,
    html_url: `${world.url}/${path}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: login.endsWith('[bot]') ? 'Bot' : 'User',
    site_admin: false,
  };
}

export function team(world: World, slug: string): Shape {
  const id = userId(slug);
  const url = `${world.url}/teams/${id}`;
  return {
    id,
    node_id: nodeId('Team', id),
    url,
    html_url: url,
    members_url: `${url}/members{/member}`,
    repositories_url: `${url}/repos`,
    name: slug,
    slug,
    description: null,
    permission: 'push',
    privacy: 'closed',
    notification_setting: 'notifications_enabled',
    type: 'organization',
    parent: null,
  };
}

const repositoryLinks: Readonly<Record<string, string>> = {
  archive: '{archive_format}{/ref}',
  assignees: 'assignees{/user}',
  blobs: 'git/blobs{/sha}',
  branches: 'branches{/branch}',
  collaborators: 'collaborators{/collaborator}',
  comments: 'comments{/number}',
  commits: 'commits{/sha}',
  compare: 'compare/{base}...{head}',
  contents: 'contents/{+path}',
  contributors: 'contributors',
  deployments: 'deployments',
  downloads: 'downloads',
  events: 'events',
  forks: 'forks',
  git_commits: 'git/commits{/sha}',
  git_refs: 'git/refs{/sha}',
  git_tags: 'git/tags{/sha}',
  hooks: 'hooks',
  issue_comment: 'issues/comments{/number}',
  issue_events: 'issues/events{/number}',
  issues: 'issues{/number}',
  keys: 'keys{/key_id}',
  labels: 'labels{/name}',
  languages: 'languages',
  merges: 'merges',
  milestones: 'milestones{/number}',
  notifications: 'notifications{?since,all,participating}',
  pulls: 'pulls{/number}',
  releases: 'releases{/id}',
  stargazers: 'stargazers',
  statuses: 'statuses/{sha}',
  subscribers: 'subscribers',
  subscription: 'subscription',
  tags: 'tags',
  teams: 'teams',
  trees: 'git/trees{/sha}',
};

export function repositoryUrl(world: World, repository: Repository): string {
  return `${world.url}/repos/${repository.fullName}`;
}

/** Where a person would look at it. */
export function webUrl(world: World, repository: Repository): string {
  return `${world.url}/${repository.fullName}`;
}

export function minimalRepository(world: World, repository: Repository): Shape {
  const url = repositoryUrl(world, repository);
  const links = Object.entries(repositoryLinks).map(([name, path]) => [`${name}_url`, `${url}/${path}`]);
  return {
    id: repository.id,
    node_id: nodeId('Repository', repository.id),
    name: repository.name,
    full_name: repository.fullName,
    owner: user(world, repository.owner),
    private: repository.private,
    html_url: webUrl(world, repository),
    description: null,
    fork: false,
    url,
    ...Object.fromEntries(links),
  };
}

/** @param settingsAreShown to those who may write */
export function fullRepository(world: World, repository: Repository, settingsAreShown = false): Shape {
  const web = webUrl(world, repository);
  const open = repository.pulls.filter((pull) => pull.state === 'open').length;
  const none = ['forks', 'forks_count', 'stargazers_count', 'watchers', 'watchers_count', 'size'];
  const features = ['has_issues', 'has_projects', 'has_wiki', 'has_downloads'];
  return {
    ...minimalRepository(world, repository),
    ...Object.fromEntries(none.map((name) => [name, 0])),
    ...Object.fromEntries(features.map((name) => [name, true])),
    has_pages: false,
    has_discussions: false,
    archived: false,
    disabled: false,
    homepage: null,
    language: null,
    license: null,
    mirror_url: null,
    open_issues: open,
    open_issues_count: open,
    default_branch: repository.defaultBranch,
    ...(settingsAreShown
      ? {
          allow_squash_merge: repository.settings.squash,
          allow_merge_commit: repository.settings.merge,
          allow_rebase_merge: repository.settings.rebase,
          delete_branch_on_merge: repository.settings.deletesBranches,
        }
      : {}),
    clone_url: `${web}.git`,
    git_url: `git:${web.slice(web.indexOf('//'))}.git`,
    ssh_url: `git@127.0.0.1:${repository.fullName}.git`,
    svn_url: web,
    created_at: repository.createdAt,
    pushed_at: repository.createdAt,
    updated_at: repository.createdAt,
  };
}

const unsigned = { verified: false, reason: 'unsigned', signature: null, payload: null, verified_at: null };

/** As the git database API shows a commit. */
export function gitCommit(world: World, repository: Repository, commit: Commit): Shape {
  const url = repositoryUrl(world, repository);
  return {
    sha: commit.sha,
    node_id: nodeId('Commit', commit.sha),
    url: `${url}/git/commits/${commit.sha}`,
    html_url: `${webUrl(world, repository)}/commit/${commit.sha}`,
    author: person(commit.author),
    committer: person(commit.committer),
    tree: { sha: commit.tree, url: `${url}/git/trees/${commit.tree}` },
    message: commit.message,
    parents: commit.parents.map((sha) => ({
      sha,
      url: `${url}/git/commits/${sha}`,
      html_url: `${webUrl(world, repository)}/commit/${sha}`,
    })),
    verification: unsigned,
  };
}

/** As lists and comparisons show a commit. */
export function commit(world: World, repository: Repository, shown: Commit): Shape {
  const url = repositoryUrl(world, repository);
  const { sha, tree, parents, message } = shown;
  return {
    sha,
    node_id: nodeId('Commit', sha),
    url: `${url}/commits/${sha}`,
    html_url: `${webUrl(world, repository)}/commit/${sha}`,
    comments_url: `${url}/commits/${sha}/comments`,
    commit: {
      author: person(shown.author),
      committer: person(shown.committer),
      comment_count: 0,
      message,
      tree: { sha: tree, url: `${url}/git/trees/${tree}` },
      url: `${url}/git/commits/${sha}`,
      verification: unsigned,
    },
    author: user(world, shown.author.name.replaceAll(' ', '-')),
    committer: user(world, shown.committer.name.replaceAll(' ', '-')),
    parents: parents.map((parent) => ({
      sha: parent,
      url: `${url}/commits/${parent}`,
      html_url: `${webUrl(world, repository)}/commit/${parent}`,
    })),
  };
}

function person({ name, email, date }: Person): Shape {
  return { name, email, date: date.replace(/\.\d+/, '') };
}

export function label(world: World, repository: Repository, { id, name, color }: Label): Shape {
  return {
    id,
    node_id: nodeId('Label', id),
    url: `${repositoryUrl(world, repository)}/labels/${encodeURIComponent(name)}`,
    name,
    color,
    default: false,
    description: '',
  };
}
