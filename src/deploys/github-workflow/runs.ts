import { Refusal } from '../../domain/failures.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';
import type { Target } from '../deploy.ts';
import type { WantedImage } from '../kit/github-image.ts';
import type { WorkflowDeployPlan } from './plan.ts';

export type WorkflowTarget = Target<WorkflowDeployPlan>;

/** A run of a workflow, as far as it matters here. `conclusion` is null until `status` is `completed`. */
export interface ActionsRun {
  readonly html_url: string;
  readonly status: string | null;
  readonly conclusion: string | null;
  readonly created_at: string;
}

/** GitHub's clock and Temporal's may differ by so much. */
const clockSkewMs = 10_000;
const pageSize = 100;
/** Runs of one workflow since a step began: there are not more of them. */
const mostPages = 5;

/**
 * The run that was asked for since a step began, found by the rollout's id in its title.
 * @param since milliseconds since 1970
 * @returns its id
 */
export async function listedRun(
  { octokit, named }: GitHubRepository,
  { deploy: { workflow }, rollout }: WorkflowTarget,
  since: number,
): Promise<number | undefined> {
  const isOurs = (title: string | null | undefined) => title?.split(/[\s()[\]{}<>,;"']+/).includes(rollout) ?? false;
  const asked = { ...named, workflow_id: workflow, event: 'workflow_dispatch', per_page: pageSize };
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

/**
 * Starts the workflow.
 * @returns the run, or undefined if GitHub does not say which it is (GitHub Enterprise Server)
 * @throws Refusal `DeployRefused`
 */
export async function dispatch(
  { octokit, named }: GitHubRepository,
  target: WorkflowTarget,
  image: WantedImage,
): Promise<number | undefined> {
  const { workflow, ref, inputs } = target.deploy;
  const filled = Object.fromEntries(Object.entries(inputs).map(([name, text]) => [name, filledIn(text, target, image)]));
  const route = 'POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches';
  const asked = { ...named, workflow_id: workflow, ref, inputs: filled };
  try {
    const { data } = await octokit.request(route, { ...asked, return_run_details: true }).catch((error: unknown) => {
      // Servers that are older than this member refuse it; whatever else is wrong, they say again.
      if (answeredWith(error, 422)) return octokit.request(route, asked);
      throw error;
    });
    return runIdIn(data);
  } catch (error) {
    throw notDispatched(error, target);
  }
}

function runIdIn(answer: unknown): number | undefined {
  const id: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'workflow_run_id') : undefined;
  return typeof id === 'number' ? id : undefined;
}

function notDispatched(error: unknown, { deploy: { repository, workflow } }: WorkflowTarget): unknown {
  if (!(error instanceof Refusal) || error.type !== 'ForgeRefused') return error;
  const advice = 'it needs `on: workflow_dispatch` on its ref, with all of the inputs that are configured';
  const message = `${workflow} of ${repository} was not started: ${error.message}; ${advice}`;
  return new Refusal('DeployRefused', message, [], { cause: error });
}

/** A value is never searched for placeholders again, and what is no placeholder stays. */
function filledIn(template: string, { plan, stage, rollout, image: asked }: WorkflowTarget, image: WantedImage): string {
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
