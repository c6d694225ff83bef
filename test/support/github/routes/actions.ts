import { deploymentsState, type Workflow, type WorkflowRun } from '../deployments-state.ts';
import { notFound, onRepository, page, type RepositoryCall, type Routes } from '../routing.ts';
import * as shapes from '../shapes.ts';
import { now } from '../state.ts';

/** Workflows of GitHub Actions that are started by hand: https://docs.github.com/rest/actions/workflows */

function workflowOf({ repository, parameters }: RepositoryCall): Workflow {
  const { workflows } = deploymentsState(repository);
  const named = parameters.workflow_id ?? '';
  const workflow = workflows.get(named) ?? [...workflows.values()].find(({ id }) => String(id) === named);
  if (workflow === undefined) throw notFound();
  return workflow;
}

async function dispatch(call: RepositoryCall) {
  const { world, account, repository } = call;
  const workflow = workflowOf(call);
  const given = call.body as { ref: string; inputs?: Record<string, unknown>; return_run_details?: boolean };
  const sha = await repository.git.branchHead(given.ref);
  // GitHub answers these with 422, which its own description does not have for this operation; what asks so is wrong in any case.
  if (sha === undefined) throw new Error(`No ref found for: ${given.ref}`);
  const inputs = given.inputs ?? {};
  const unexpected = Object.keys(inputs).filter((name) => !workflow.inputs.includes(name));
  if (unexpected.length > 0) throw new Error(`Unexpected inputs provided: ${JSON.stringify(unexpected)}`);
  const { runs } = deploymentsState(repository);
  const run: WorkflowRun = {
    id: world.nextId(),
    number: runs.length + 1,
    workflow,
    title: workflow.runName?.replace(/\{(\w+)\}/g, (_, name: string) => String(inputs[name] ?? '')) ?? 'Deploy',
    ref: given.ref,
    sha,
    actor: account.login,
    inputs,
    createdAt: now(),
    updatedAt: now(),
    status: 'queued',
    conclusion: null,
  };
  runs.push(run);
  if (given.return_run_details !== true || workflow.silent) return { status: 204 };
  const { url, html_url } = runUrls(call, run);
  return { status: 200, body: { workflow_run_id: run.id, run_url: url, html_url } };
}

function runUrls({ world, repository }: RepositoryCall, { id }: WorkflowRun) {
  return {
    url: `${shapes.repositoryUrl(world, repository)}/actions/runs/${id}`,
    html_url: `${shapes.webUrl(world, repository)}/actions/runs/${id}`,
  };
}

function runShape(call: RepositoryCall, run: WorkflowRun) {
  const { world, repository } = call;
  const { url, html_url } = runUrls(call, run);
  const root = shapes.repositoryUrl(world, repository);
  const links = ['jobs', 'logs', 'artifacts', 'cancel', 'rerun'].map((name) => [`${name}_url`, `${url}/${name}`]);
  return {
    id: run.id,
    name: 'Deploy',
    display_title: run.title,
    node_id: shapes.nodeId('WorkflowRun', run.id),
    head_branch: run.ref,
    head_sha: run.sha,
    path: `.github/workflows/${run.workflow.file}@${run.ref}`,
    run_number: run.number,
    run_attempt: 1,
    event: 'workflow_dispatch',
    status: run.status,
    conclusion: run.conclusion,
    workflow_id: run.workflow.id,
    url,
    html_url,
    pull_requests: [],
    created_at: run.createdAt,
    updated_at: run.updatedAt,
    actor: shapes.user(world, run.actor),
    triggering_actor: shapes.user(world, run.actor),
    ...Object.fromEntries(links),
    check_suite_url: `${root}/check-suites/${run.id}`,
    workflow_url: `${root}/actions/workflows/${run.workflow.id}`,
    head_commit: null,
    repository: shapes.minimalRepository(world, repository),
    head_repository: shapes.minimalRepository(world, repository),
  };
}

async function listRuns(call: RepositoryCall) {
  const { repository, query, world } = call;
  const workflow = workflowOf(call);
  const runs = deploymentsState(repository).runs.filter((run) => run.workflow === workflow);
  const wanted = [undefined, null, 'workflow_dispatch'].includes(query.get('event')) ? [...runs].reverse() : [];
  const path = new URL(`${shapes.repositoryUrl(world, repository)}/actions/workflows/${workflow.id}/runs`).pathname;
  const { items, headers } = page(call, wanted, path);
  const body = { total_count: wanted.length, workflow_runs: items.map((run) => runShape(call, run)) };
  return { status: 200, body, headers };
}

async function getRun(call: RepositoryCall) {
  const run = deploymentsState(call.repository).runs.find(({ id }) => String(id) === call.parameters.run_id);
  if (run === undefined) throw notFound();
  return { status: 200, body: runShape(call, run) };
}

export const actionsRoutes: Routes = {
  'actions/create-workflow-dispatch': onRepository(['actions=write'], dispatch),
  'actions/list-workflow-runs': onRepository(['actions=read'], listRuns),
  'actions/get-workflow-run': onRepository(['actions=read'], getRun),
};
