import type { Octokit } from 'octokit';
import { Refusal } from '../../domain/failures.ts';
import type { Deployed } from '../../domain/outcomes.ts';
import { type GitHubRepository, openRepository } from '../../platform/github/repository.ts';
import type { Deployer, Work } from '../deploy.ts';
import { imageBefore, runningOf, type WantedImage } from '../kit/github-image.ts';
import { type Polling, poll, usualPolling } from '../kit/github-polling.ts';
import type { WorkflowDeployPlan } from './plan.ts';
import { type ActionsRun, dispatch, listedRun, type WorkflowTarget } from './runs.ts';

export interface GitHubDeployerDependencies {
  /** A client for `owner/name` whose errors are classified. @throws Refusal if GitHub is not configured */
  readonly clientFor: (repository: string) => Promise<Octokit>;
  readonly polling?: Polling;
}

/** A run that was asked for is in lists within seconds; after so long it will not appear any more. */
const appearsWithinMs = 60_000;

/**
 * Deploys by a workflow of GitHub Actions. A retry finds the run that an earlier try asked for by its title, so the workflow's `run-name`
 * has to hold the rollout's id, which it gets as an input with `{rollout}`:
 * `run-name: Deploy ${{ inputs.image }} (${{ inputs.rollout }})`. What runs afterwards, only the workflow knows.
 */
export function createWorkflowDeployer({
  clientFor,
  polling = usualPolling,
}: GitHubDeployerDependencies): Deployer<WorkflowDeployPlan> {
  /** The runs that this process asked for: found again even where their titles do not tell. */
  const asked = new Map<string, number>();

  async function deploy(target: WorkflowTarget, image: WantedImage, work: Work): Promise<Deployed> {
    const { repository: name, workflow, timeoutMs } = target.deploy;
    const repository = await openRepository(clientFor, name);
    const dispatched: WorkflowDispatch = { repository, target, work, since: work.since ?? Date.now(), polling };
    const key = JSON.stringify([name, workflow, target.rollout, work.turn, dispatched.since, image.digest]);
    const id =
      asked.get(key) ??
      (await earlierRun(dispatched)) ??
      (await dispatch(repository, target, image)) ??
      (await newRun(dispatched));
    asked.set(key, id);
    const run = await endOf(dispatched, id);
    asked.delete(key);
    if (run.status === 'completed' && run.conclusion === 'success') {
      const running = [runningOf(`${name} ${workflow}`, image)];
      return { kind: 'deployed', changed: true, running, text: `deployed by ${run.html_url}` };
    }
    const found = run.status === 'completed' ? run.conclusion : `${run.status} after ${timeoutMs / 1000} s`;
    throw new Refusal('DeployFailed', `expected ${workflow} of ${name} to succeed, found ${found}: look at ${run.html_url}`);
  }

  return {
    // Nobody but the workflow knows.
    running: async () => [],
    deploy: (target, work) => deploy(target, target.image, work),
    restore: async (target, before, work) => deploy(target, imageBefore(target, before), work),
    settle: async () => undefined,
  };
}

interface WorkflowDispatch {
  readonly repository: GitHubRepository;
  readonly target: WorkflowTarget;
  readonly work: Work;
  /** When it was first asked for. */
  readonly since: number;
  readonly polling: Polling;
}

/** The run that an earlier try of this step asked for, a moment ago perhaps: then it may not be listed at the first look. */
async function earlierRun({
  repository,
  target,
  work,
  since,
  polling: { firstMs },
}: WorkflowDispatch): Promise<number | undefined> {
  const look = () => listedRun(repository, target, since);
  // The first try of a step begins at once.
  if (Date.now() - since < firstMs) return look();
  const until = Date.now() + firstMs;
  return poll(look, () => until, { firstMs, longestMs: firstMs }, work.signal);
}

/** @throws Refusal `DeployFailed` if nothing tells which run it is */
async function newRun({ repository, target, work, since, polling }: WorkflowDispatch): Promise<number> {
  const until = Date.now() + appearsWithinMs;
  const found = await poll(
    () => listedRun(repository, target, since),
    () => until,
    polling,
    work.signal,
  );
  if (found !== undefined) return found;
  const { workflow, repository: name } = target.deploy;
  throw new Refusal(
    'DeployFailed',
    `${workflow} of ${name} was started, and no run of it has ${target.rollout} in its title: add the input \`rollout: '{rollout}'\` to the stage's deploy and \`run-name: Deploy \${{ inputs.rollout }}\` to the workflow`,
  );
}

/** The run when it has ended, or when its time is up. */
async function endOf({ repository, target, work, polling }: WorkflowDispatch, run_id: number): Promise<ActionsRun> {
  const { octokit, named } = repository;
  let last: ActionsRun | undefined;
  const look = async (): Promise<ActionsRun | undefined> => {
    const { data } = await octokit.rest.actions.getWorkflowRun({ ...named, run_id, request: { signal: work.signal } });
    last = data;
    return data.status === 'completed' ? data : undefined;
  };
  const until = () => (last === undefined ? Number.POSITIVE_INFINITY : Date.parse(last.created_at) + target.deploy.timeoutMs);
  const run = (await poll(look, until, polling, work.signal)) ?? last;
  if (run === undefined) throw new Error(`expected GitHub to answer with run ${run_id}, found nothing`);
  return run;
}
