import { shortened } from '../../domain/inert-text.ts';
import type { CheckReport } from '../../domain/proposal.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';

/** What the checks of a commit say. */
export interface Checks {
  readonly pending: readonly string[];
  readonly failing: readonly string[];
  /** False: a fine-grained token cannot read check runs. Then Actions and statuses are all that is known. */
  readonly complete: boolean;
}

interface CheckRunResult {
  readonly name: string;
  readonly verdict: 'passed' | 'failed' | 'pending';
}

const passing = new Set(['success', 'neutral', 'skipped']);
/** Landfall's own checks: they passed before it proposed anything. */
const own = /^landfall\//i;
/** GitHub refuses longer descriptions of a status. */
const longestDescription = 140;
/** The largest page that GitHub gives. */
const pageSize = 100;

/** GitHub's answer, or undefined if it says that the token may not (403), or hides it (404). */
export async function ifAllowed<Answer>(ask: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (answeredWith(error, 403) || answeredWith(error, 404)) return undefined;
    throw error;
  }
}

/** @param required names of the checks that the base branch demands; if there are none, every check that is there counts */
export async function readChecks(repository: GitHubRepository, commit: string, required: readonly string[]): Promise<Checks> {
  const [runs, statuses] = await Promise.all([checkRuns(repository, commit), commitStatuses(repository, commit)]);
  const complete = runs !== undefined && statuses !== undefined;
  const known = [...(runs ?? []), ...(statuses ?? [])];
  if (runs === undefined) known.push(...(await workflowRuns(repository, commit)));
  // Several of one name (two workflows with a job `build`) all have to pass.
  const byName = Map.groupBy(known, ({ name }) => name);
  const isAny = (name: string, wanted: CheckRunResult['verdict']) =>
    byName.get(name)?.some(({ verdict }) => verdict === wanted) ?? wanted === 'pending';
  // Without check runs we cannot tell whether a required one has run: GitHub's own summary tells (`blocked`).
  const counted = required.length > 0 && complete ? required : [...byName.keys()].filter((name) => !own.test(name));
  return {
    pending: counted.filter((name) => isAny(name, 'pending') && !isAny(name, 'failed') && !own.test(name)),
    failing: counted.filter((name) => isAny(name, 'failed')),
    complete,
  };
}

/** The latest run of each check, or undefined if the token cannot read them. */
async function checkRuns({ octokit, named }: GitHubRepository, ref: string): Promise<CheckRunResult[] | undefined> {
  const runs = await ifAllowed(() => octokit.paginate(octokit.rest.checks.listForRef, { ...named, ref, per_page: 100 }));
  return runs?.map(({ name, status, conclusion }) => ({ name, verdict: verdictOf(status, conclusion) }));
}

async function commitStatuses(repository: GitHubRepository, commit: string): Promise<CheckRunResult[] | undefined> {
  const statuses = await ifAllowed(() => statusesOf(repository, commit));
  return statuses?.map(({ context: name, state }) => ({
    name,
    verdict: state === 'success' ? 'passed' : state === 'pending' ? 'pending' : 'failed',
  }));
}

/** The latest run of each workflow for the commit: what a token that cannot read checks may see of them. */
async function workflowRuns({ octokit, named }: GitHubRepository, commit: string): Promise<CheckRunResult[]> {
  const runs = await ifAllowed(() =>
    octokit.paginate(octokit.rest.actions.listWorkflowRunsForRepo, { ...named, head_sha: commit, per_page: 100 }),
  );
  const latest = new Map<number, NonNullable<typeof runs>[number]>();
  for (const run of runs ?? []) {
    if (run.run_number >= (latest.get(run.workflow_id)?.run_number ?? 0)) latest.set(run.workflow_id, run);
  }
  return [...latest.values()].map(({ name, path, status, conclusion }) => ({
    name: name ?? path,
    verdict: verdictOf(status, conclusion),
  }));
}

function verdictOf(status: string | null, conclusion: string | null): CheckRunResult['verdict'] {
  if (status !== 'completed') return 'pending';
  return passing.has(conclusion ?? '') ? 'passed' : 'failed';
}

/** Says on a commit what the checks said, by commit statuses. A token without that permission does no harm: the pull request says it, too. */
export async function reportChecks(repository: GitHubRepository, head: string, checks: readonly CheckReport[]): Promise<void> {
  if (checks.length > 0) await ifAllowed(() => addStatuses(repository, head, checks));
}

/** GitHub keeps every one of them, 1000 a context, so equal ones are not repeated. */
async function addStatuses(repository: GitHubRepository, head: string, checks: readonly CheckReport[]): Promise<void> {
  const { octokit, named } = repository;
  // GitHub does not tell cases apart in a context.
  const said = new Map((await statusesOf(repository, head)).map((status) => [status.context.toLowerCase(), status]));
  for (const { context, state, description } of checks) {
    const short = shortened(description, longestDescription);
    const before = said.get(context.toLowerCase());
    if (before?.state === state && before.description === short) continue;
    await octokit.rest.repos.createCommitStatus({ ...named, sha: head, context, state, description: short });
  }
}

/** The latest status of each context. */
async function statusesOf({ octokit, named }: GitHubRepository, ref: string) {
  const statuses: { context: string; state: string; description: string | null }[] = [];
  // By hand: octokit's paginate does not know this answer's shape for a list.
  for (let page = 1; ; page += 1) {
    const { data } = await octokit.rest.repos.getCombinedStatusForRef({ ...named, ref, per_page: pageSize, page });
    statuses.push(...data.statuses);
    if (data.statuses.length < pageSize) return statuses;
  }
}
