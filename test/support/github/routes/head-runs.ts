import { onRepository, page, type RepositoryCall, type Routes } from '../routing.ts';
import * as shapes from '../shapes.ts';
import type { HeadRun } from '../state.ts';

/** Runs of GitHub Actions by the commit that they are for: https://docs.github.com/rest/actions/workflow-runs */

async function listRuns(call: RepositoryCall) {
  const { world, repository, query } = call;
  const sha = query.get('head_sha');
  const runs = repository.headRuns.filter((run) => sha === null || run.sha === sha).reverse();
  const { items, headers } = page(call, runs, new URL(`${shapes.repositoryUrl(world, repository)}/actions/runs`).pathname);
  const shown = await Promise.all(items.map((run) => runShape(call, run)));
  return { status: 200, body: { total_count: runs.length, workflow_runs: shown }, headers };
}

async function runShape({ world, repository }: RepositoryCall, run: HeadRun) {
  const api = shapes.repositoryUrl(world, repository);
  const url = `${api}/actions/runs/${run.id}`;
  const { tree, message, author } = await repository.git.readCommit(run.sha);
  const person = { name: author.name, email: author.email };
  const minimal = shapes.minimalRepository(world, repository);
  return {
    id: run.id,
    node_id: shapes.nodeId('WorkflowRun', run.id),
    name: run.name,
    display_title: run.name,
    head_branch: null,
    head_sha: run.sha,
    path: `.github/workflows/${run.name}.yml`,
    run_number: run.number,
    event: 'pull_request',
    status: run.status,
    conclusion: run.conclusion,
    workflow_id: run.workflow,
    check_suite_id: 1,
    check_suite_node_id: shapes.nodeId('CheckSuite', 1),
    url,
    html_url: `${shapes.webUrl(world, repository)}/actions/runs/${run.id}`,
    pull_requests: [],
    created_at: run.at,
    updated_at: run.at,
    run_started_at: run.at,
    jobs_url: `${url}/jobs`,
    logs_url: `${url}/logs`,
    check_suite_url: `${api}/check-suites/1`,
    artifacts_url: `${url}/artifacts`,
    cancel_url: `${url}/cancel`,
    rerun_url: `${url}/rerun`,
    workflow_url: `${api}/actions/workflows/${run.workflow}`,
    head_commit: { id: run.sha, tree_id: tree, message, timestamp: author.date, author: person, committer: person },
    repository: minimal,
    head_repository: minimal,
  };
}

export const headRunRoutes: Routes = {
  'actions/list-workflow-runs-for-repo': onRepository(['actions=read'], listRuns),
};
