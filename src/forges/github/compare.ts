import type { GitHubRepository } from '../../platform/github/repository.ts';
import type { Comparison } from '../forge.ts';

/** The largest page that GitHub gives. */
const pageSize = 100;

/** All commits that `head` has and `base` has not, however many pages they are. */
export async function compareCommits({ octokit, named }: GitHubRepository, base: string, head: string): Promise<Comparison> {
  const commits: { sha: string; author: string; message: string }[] = [];
  for (let page = 1; ; page += 1) {
    const { data } = await octokit.rest.repos.compareCommitsWithBasehead({
      ...named,
      basehead: `${base}...${head}`,
      per_page: pageSize,
      page,
    });
    for (const { sha, commit } of data.commits) {
      commits.push({ sha, author: commit.author?.name ?? '', message: commit.message });
    }
    // An empty page ends it too: GitHub's count may include what it does not list.
    if (data.commits.length === 0 || commits.length >= data.total_commits) return { commits, behindBy: data.behind_by };
  }
}
