import type { GitHubRepository } from '../../platform/github/repository.ts';
import { ifReadable } from './access.ts';
import { statusesOf } from './statuses.ts';

/** What the checks of a commit say. */
export interface Checks {
  readonly pending: readonly string[];
  readonly failing: readonly string[];
  /** False: a fine-grained token cannot read check runs. Then Actions and statuses are all that is known. */
  readonly complete: boolean;
}

type CheckVerdict = 'passed' | 'failed' | 'pending';

interface CheckRunResult {
  readonly name: string;
  readonly verdict: CheckVerdict;
}

const passing = new Set(['success', 'neutral', 'skipped']);
/** Landfall's own checks: they passed before it proposed anything. */
const own = /^landfall\//i;

/**
 * @param required names of the checks that the base branch demands; if there are none, every check that is there counts
 */
export async function readChecks(repository: GitHubRepository, commit: string, required: readonly string[]): Promise<Checks> {
  const [runs, statuses] = await Promise.all([checkRuns(repository, commit), commitStatuses(repository, commit)]);
  const complete = runs !== undefined && statuses !== undefined;
  const known = [...(runs ?? []), ...(statuses ?? [])];
  if (required.length === 0 || !complete) known.push(...(runs === undefined ? await workflowRuns(repository, commit) : []));
  const worst = worstByName(known);
  // Without check runs we cannot tell whether a required one has run: GitHub's own summary tells (`blocked`).
  const counted = required.length > 0 && complete ? required : [...worst.keys()].filter((name) => !own.test(name));
  const verdictOf = (name: string) => worst.get(name) ?? 'pending';
  return {
    pending: counted.filter((name) => verdictOf(name) === 'pending' && !own.test(name)),
    failing: counted.filter((name) => verdictOf(name) === 'failed'),
    complete,
  };
}

/** Several of one name (two workflows with a job `build`) all have to pass. */
function worstByName(known: readonly CheckRunResult[]): Map<string, CheckVerdict> {
  const order: readonly CheckVerdict[] = ['passed', 'pending', 'failed'];
  const worst = new Map<string, CheckVerdict>();
  for (const { name, verdict } of known) {
    const before = worst.get(name) ?? 'passed';
    worst.set(name, order.indexOf(verdict) > order.indexOf(before) ? verdict : before);
  }
  return worst;
}

/** The latest run of each check, or undefined if the token cannot read them. */
async function checkRuns({ octokit, named }: GitHubRepository, ref: string): Promise<CheckRunResult[] | undefined> {
  const runs = await ifReadable(() => octokit.paginate(octokit.rest.checks.listForRef, { ...named, ref, per_page: 100 }));
  return runs?.map(({ name, status, conclusion }) => ({ name, verdict: verdictOf(status, conclusion) }));
}

async function commitStatuses(repository: GitHubRepository, commit: string): Promise<CheckRunResult[] | undefined> {
  const statuses = await ifReadable(() => statusesOf(repository, commit));
  return statuses?.map(({ context, state }) => ({
    name: context,
    verdict: state === 'success' ? 'passed' : state === 'pending' ? 'pending' : 'failed',
  }));
}

/** The latest run of each workflow for the commit: what a token that cannot read checks may see of them. */
async function workflowRuns({ octokit, named }: GitHubRepository, commit: string): Promise<CheckRunResult[]> {
  const runs = await ifReadable(() =>
    octokit.paginate(octokit.rest.actions.listWorkflowRunsForRepo, { ...named, head_sha: commit, per_page: 100 }),
  );
  const latest = new Map<number, NonNullable<typeof runs>[number]>();
  for (const run of runs ?? []) {
    if (run.run_number >= (latest.get(run.workflow_id)?.run_number ?? 0)) latest.set(run.workflow_id, run);
  }
  return [...latest.values()].map(({ name, path, status, conclusion }) => ({
    name: name ?? path,
    verdict: verdictOf(status ?? 'queued', conclusion),
  }));
}

function verdictOf(status: string, conclusion: string | null): CheckVerdict {
  if (status !== 'completed') return 'pending';
  return passing.has(conclusion ?? '') ? 'passed' : 'failed';
}
