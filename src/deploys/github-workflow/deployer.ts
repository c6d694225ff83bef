import { setTimeout as pause } from 'node:timers/promises';
import type { Deployed } from '../../domain/outcomes.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { type GitHubRepository, openRepository } from '../../platform/github/repository.ts';
import type { Deployer, Target, Work } from '../deploy.ts';
import {
  clockSkewMs,
  type GitHubDeployerOptions,
  imageBefore,
  notBegun,
  type Polling,
  poll,
  runningOf,
  usualPolling,
  type WantedImage,
} from '../kit/github.ts';
import { failed } from '../kit/refusals.ts';

export interface WorkflowDeployPlan {
  /** `owner/name` */
  readonly repository: string;
  /** File name (`deploy.yml`) or id. */
  readonly workflow: string;
  readonly ref: string;
  /** Templates with `{service}`, `{stage}`, `{image}`, `{tag}`, `{digest}`, `{commit}`, `{rollout}`. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** A run that was asked for is in lists within seconds; after so long it will not appear any more. */
const appearsWithinMs = 60_000;
const pageSize = 100;
/** Runs of one workflow since a step began: there are not more of them. */
const mostPages = 5;

/** A run of a workflow, as far as it matters here. `conclusion` is null until `status` is `completed`. */
interface ActionsRun {
  readonly html_url: string;
  readonly status: string | null;
  readonly conclusion: string | null;
  readonly created_at: string;
}

interface WorkflowDispatch {
  readonly repository: GitHubRepository;
  readonly target: Target<WorkflowDeployPlan>;
  readonly image: WantedImage;
  /** When it was first asked for, in milliseconds since 1970. */
  readonly since: number;
  readonly polling: Polling;
  readonly signal: AbortSignal;
}

/**
 * Deploys by a workflow of GitHub Actions. A retry finds the run that an earlier try asked for by its title, so the workflow's `run-name`
 * has to hold the rollout's id, which it gets as an input with `{rollout}`:
 * `run-name: Deploy ${{ inputs.image }} (${{ inputs.rollout }})`. What runs afterwards, only the workflow knows.
 */
export function createWorkflowDeployer({
  clientFor,
  polling = usualPolling,
}: GitHubDeployerOptions): Deployer<WorkflowDeployPlan> {
  /** The runs that this process asked for: found again even where their titles do not tell. */
  const asked = new Map<string, number>();

  async function deploy(
    target: Target<WorkflowDeployPlan>,
    image: WantedImage,
    { turn, signal, since = Date.now() }: Work,
  ): Promise<Deployed> {
    const { repository: name, workflow, timeoutMs } = target.deploy;
    const repository = await openRepository(clientFor, name);
    const dispatched: WorkflowDispatch = { repository, target, image, since, polling, signal };
    const key = JSON.stringify([name, workflow, target.rollout, turn, since, image.digest]);
    const id = asked.get(key) ?? (await earlierRun(dispatched)) ?? (await dispatch(dispatched)) ?? (await newRun(dispatched));
    asked.set(key, id);
    const run = await endOf(dispatched, id);
    asked.delete(key);
    if (run.status === 'completed' && run.conclusion === 'success') {
      const running = [runningOf(`${name} ${workflow}`, image)];
      return { kind: 'deployed', changed: true, running, text: `deployed by ${run.html_url}` };
    }
    const found = run.status === 'completed' ? run.conclusion : `${run.status} after ${timeoutMs / 1000} s`;
    throw failed(`expected ${workflow} of ${name} to succeed, found ${found}: look at ${run.html_url}`);
  }

  return {
    // Nobody but the workflow knows.
    running: async () => [],
    deploy: (target, work) => deploy(target, target.image, work),
    restore: async (target, before, work) => deploy(target, imageBefore(target, before), work),
    settle: async () => undefined,
  };
}

/** The run that an earlier try of this step asked for, a moment ago perhaps: then it may not be listed at the first look. */
async function earlierRun(dispatched: WorkflowDispatch): Promise<number | undefined> {
  const { since, signal, polling } = dispatched;
  const { firstMs } = polling;
  // The first try of a step begins at once.
  const isFirstTry = Date.now() - since < firstMs;
  const run = await listedRun(dispatched);
  if (run !== undefined || isFirstTry) return run;
  await pause(firstMs, undefined, { signal });
  return await listedRun(dispatched);
}

/** @throws Refusal `DeployFailed` if nothing tells which run it is */
async function newRun(dispatched: WorkflowDispatch): Promise<number> {
  const { target, polling, signal } = dispatched;
  const until = Date.now() + appearsWithinMs;
  const look = () => listedRun(dispatched);
  const found = await poll(look, () => until, polling, signal);
  if (found !== undefined) return found;
  const { workflow, repository: name } = target.deploy;
  throw failed(
    `${workflow} of ${name} was started, and no run of it has ${target.rollout} in its title: add the input \`rollout: '{rollout}'\` to the stage's deploy and \`run-name: Deploy \${{ inputs.rollout }}\` to the workflow`,
  );
}

/** The id of the run that was asked for since the step began, found by the rollout's id in its title. */
async function listedRun({ repository, target, since }: WorkflowDispatch): Promise<number | undefined> {
  const { octokit, named } = repository;
  const isOurs = (title: string | null | undefined) => title?.split(/[\s()[\]{}<>,;"']+/).includes(target.rollout) ?? false;
  const asked = { ...named, workflow_id: target.deploy.workflow, event: 'workflow_dispatch', per_page: pageSize };
  for (let page = 1; page <= mostPages; page += 1) {
    const { data } = await octokit.rest.actions.listWorkflowRuns({ ...asked, page });
    for (const { id, display_title, name, status, created_at, updated_at } of data.workflow_runs) {
      // Newest first: what follows is older still.
      if (Date.parse(created_at) < since - clockSkewMs) return undefined;
      // One that had ended before this step began was of an earlier step of the same rollout.
      const isEarlier = status === 'completed' && Date.parse(updated_at) + 1_000 < since;
      if (!isEarlier && (isOurs(display_title) || isOurs(name))) return id;
    }
    if (data.workflow_runs.length < pageSize) return undefined;
  }
  return undefined;
}

/** Starts the workflow. @returns the run, or undefined if GitHub does not say which it is (GitHub Enterprise Server) */
async function dispatch({ repository, target, image }: WorkflowDispatch): Promise<number | undefined> {
  const { octokit, named, fullName } = repository;
  const { workflow, ref, inputs } = target.deploy;
  const filled = Object.fromEntries(Object.entries(inputs).map(([name, text]) => [name, filledIn(text, target, image)]));
  const route = 'POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches';
  const asked = { ...named, workflow_id: workflow, ref, inputs: filled };
  try {
    const { data }: { data: unknown } = await octokit
      .request(route, { ...asked, return_run_details: true })
      .catch((error: unknown) => {
        // Servers that are older than this member refuse it; whatever else is wrong, they say again.
        if (answeredWith(error, 422)) return octokit.request(route, asked);
        throw error;
      });
    const id: unknown = typeof data === 'object' && data !== null ? Reflect.get(data, 'workflow_run_id') : undefined;
    return typeof id === 'number' ? id : undefined;
  } catch (error) {
    const advice = 'it needs `on: workflow_dispatch` on its ref, with all of the inputs that are configured';
    throw notBegun(error, (why) => `${workflow} of ${fullName} was not started: ${why}; ${advice}`);
  }
}

/** A value is never searched for placeholders again, and what is no placeholder stays. */
function filledIn(template: string, { plan, stage, rollout, image: asked }: Target, image: WantedImage): string {
  const values = new Map<string, string>([
    ['service', plan.service],
    ['stage', stage.name],
    ['image', image.repository],
    ['tag', image.tag ?? ''],
    ['digest', image.digest],
    // The label of the image that is asked for says nothing about the one before.
    ['commit', (image.digest === asked.digest ? asked.revision : undefined) ?? ''],
    ['rollout', rollout],
  ]);
  return template.replace(/\{(\w+)\}/g, (placeholder, name: string) => values.get(name) ?? placeholder);
}

/** The run when it has ended, or when its time is up. */
async function endOf({ repository, target, polling, signal }: WorkflowDispatch, run_id: number): Promise<ActionsRun> {
  const { octokit, named } = repository;
  let last: ActionsRun | undefined;
  const look = async (): Promise<ActionsRun | undefined> => {
    const { data } = await octokit.rest.actions.getWorkflowRun({ ...named, run_id, request: { signal } });
    last = data;
    return data.status === 'completed' ? data : undefined;
  };
  const until = () => (last === undefined ? Number.POSITIVE_INFINITY : Date.parse(last.created_at) + target.deploy.timeoutMs);
  const run = (await poll(look, until, polling, signal)) ?? last;
  if (run === undefined) throw new Error(`expected GitHub to answer with run ${run_id}, found nothing`);
  return run;
}
