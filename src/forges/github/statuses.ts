import type { GitHubRepository } from '../../platform/github/repository.ts';
import type { CheckReport } from '../forge.ts';

/** GitHub refuses longer descriptions. */
const longestDescription = 140;
/** The largest page that GitHub gives. */
const pageSize = 100;

/** Says on a commit what the checks said, by commit statuses. GitHub keeps every one of them, 1000 a context, so equal ones are not repeated. */
export async function reportChecks(repository: GitHubRepository, head: string, checks: readonly CheckReport[]): Promise<void> {
  if (checks.length === 0) return;
  const { octokit, named } = repository;
  const said = await latestStatuses(repository, head);
  for (const { context, state, description } of checks) {
    const short = shortened(description);
    if (said.get(context.toLowerCase()) === `${state} ${short}`) continue;
    await octokit.rest.repos.createCommitStatus({ ...named, sha: head, context, state, description: short });
  }
}

/** State and description by context, in lower case: GitHub does not tell cases apart. */
async function latestStatuses(repository: GitHubRepository, head: string): Promise<Map<string, string>> {
  const statuses = await statusesOf(repository, head);
  return new Map(statuses.map(({ context, state, description }) => [context.toLowerCase(), `${state} ${description}`]));
}

/** The latest status of each context. */
export async function statusesOf(
  { octokit, named }: GitHubRepository,
  commit: string,
): Promise<{ context: string; state: string; description: string | null }[]> {
  const statuses: { context: string; state: string; description: string | null }[] = [];
  // By hand: octokit's paginate does not know this answer's shape for a list.
  for (let page = 1; ; page += 1) {
    const { data } = await octokit.rest.repos.getCombinedStatusForRef({ ...named, ref: commit, per_page: pageSize, page });
    statuses.push(...data.statuses);
    if (data.statuses.length < pageSize) return statuses;
  }
}

function shortened(description: string): string {
  return description.length <= longestDescription ? description : `${description.slice(0, longestDescription - 1)}…`;
}
