import { type Deployment, type DeploymentStateName, type DeploymentStatus, deploymentsState } from '../deployments-state.ts';
import { ErrorReply, notFound, onRepository, page, type RepositoryCall, type Routes, validationFailed } from '../routing.ts';
import * as shapes from '../shapes.ts';
import { now } from '../state.ts';

/** Deployments and their statuses: https://docs.github.com/rest/deployments */

interface NewDeployment {
  readonly ref: string;
  readonly auto_merge?: boolean;
  readonly required_contexts?: readonly string[];
  readonly payload?: unknown;
  readonly environment?: string;
  readonly description?: string | null;
  readonly transient_environment?: boolean;
  readonly production_environment?: boolean;
}

async function createDeployment(call: RepositoryCall) {
  const { world, account, repository } = call;
  const given = call.body as NewDeployment;
  const sha = await repository.git.resolve(given.ref, 'commit');
  if (sha === undefined) throw validationFailed('Deployment', `No ref found for: ${given.ref}`);
  // By default GitHub merges the default branch into a ref that is behind, and wants every status of the commit to be successful.
  if (given.auto_merge !== false) throw new ErrorReply(409, `Conflict merging ${repository.defaultBranch} into ${given.ref}.`);
  const unsuccessful = repository.statuses.some((status) => status.sha === sha && status.state !== 'success');
  if (given.required_contexts === undefined && unsuccessful) {
    throw new ErrorReply(409, `Conflict: Commit status checks failed for ${given.ref}.`);
  }
  const environment = given.environment ?? 'production';
  const deployment: Deployment = {
    id: world.nextId(),
    sha,
    ref: given.ref,
    environment,
    payload: given.payload ?? {},
    description: given.description ?? null,
    creator: account.login,
    transient: given.transient_environment ?? false,
    production: given.production_environment ?? environment === 'production',
    createdAt: now(),
    statuses: [],
  };
  deploymentsState(repository).deployments.push(deployment);
  return { status: 201, body: deploymentShape(call, deployment) };
}

function deploymentUrl({ world, repository }: RepositoryCall, { id }: Deployment): string {
  return `${shapes.repositoryUrl(world, repository)}/deployments/${id}`;
}

function deploymentShape(call: RepositoryCall, deployment: Deployment) {
  const url = deploymentUrl(call, deployment);
  return {
    url,
    id: deployment.id,
    node_id: shapes.nodeId('Deployment', deployment.id),
    sha: deployment.sha,
    ref: deployment.ref,
    task: 'deploy',
    payload: deployment.payload,
    original_environment: deployment.environment,
    environment: deployment.environment,
    description: deployment.description,
    creator: shapes.user(call.world, deployment.creator),
    created_at: deployment.createdAt,
    updated_at: deployment.statuses.at(-1)?.at ?? deployment.createdAt,
    statuses_url: `${url}/statuses`,
    repository_url: shapes.repositoryUrl(call.world, call.repository),
    transient_environment: deployment.transient,
    production_environment: deployment.production,
    performed_via_github_app: null,
  };
}

async function listDeployments(call: RepositoryCall) {
  const { query, repository, world } = call;
  const matches = (name: string, value: string) => [null, 'none', value].includes(query.get(name));
  const wanted = deploymentsState(repository)
    .deployments.filter(
      ({ ref, sha, environment }) => matches('ref', ref) && matches('sha', sha) && matches('environment', environment),
    )
    .reverse();
  const path = new URL(`${shapes.repositoryUrl(world, repository)}/deployments`).pathname;
  const { items, headers } = page(call, wanted, path);
  return { status: 200, body: items.map((deployment) => deploymentShape(call, deployment)), headers };
}

function deploymentOf({ repository, parameters }: RepositoryCall): Deployment {
  const found = deploymentsState(repository).deployments.find(({ id }) => String(id) === parameters.deployment_id);
  if (found === undefined) throw notFound();
  return found;
}

function statusShape(call: RepositoryCall, deployment: Deployment, status: DeploymentStatus) {
  const url = deploymentUrl(call, deployment);
  return {
    url: `${url}/statuses/${status.id}`,
    id: status.id,
    node_id: shapes.nodeId('DeploymentStatus', status.id),
    state: status.state,
    creator: shapes.user(call.world, status.creator),
    description: status.description,
    environment: deployment.environment,
    ...(status.logUrl === '' ? {} : { log_url: status.logUrl }),
    target_url: status.logUrl === '' ? `${url}/target` : status.logUrl,
    created_at: status.at,
    updated_at: status.at,
    deployment_url: url,
    repository_url: shapes.repositoryUrl(call.world, call.repository),
    performed_via_github_app: null,
  };
}

async function listStatuses(call: RepositoryCall) {
  const deployment = deploymentOf(call);
  const { items, headers } = page(
    call,
    [...deployment.statuses].reverse(),
    `${new URL(deploymentUrl(call, deployment)).pathname}/statuses`,
  );
  return { status: 200, body: items.map((status) => statusShape(call, deployment, status)), headers };
}

async function createStatus(call: RepositoryCall) {
  const { world, account, repository } = call;
  const given = call.body as { state: DeploymentStateName; description?: string; log_url?: string; auto_inactive?: boolean };
  const deployment = deploymentOf(call);
  if ((given.description?.length ?? 0) > 140) {
    throw validationFailed('DeploymentStatus', 'description is too long (maximum is 140 characters)');
  }
  if (given.log_url && !URL.canParse(given.log_url)) throw validationFailed('DeploymentStatus', 'log_url must be a valid URL');
  const add = (to: Deployment, state: DeploymentStateName, description = '', logUrl = '') => {
    const status = { id: world.nextId(), state, description, logUrl, creator: account.login, at: now() };
    to.statuses.push(status);
    return status;
  };
  if (given.state === 'success' && given.auto_inactive !== false) {
    for (const other of deploymentsState(repository).deployments) {
      const replaced =
        other !== deployment && other.environment === deployment.environment && !other.transient && !other.production;
      if (replaced && other.statuses.at(-1)?.state === 'success') add(other, 'inactive');
    }
  }
  const status = add(deployment, given.state, given.description, given.log_url);
  return { status: 201, body: statusShape(call, deployment, status) };
}

export const deploymentRoutes: Routes = {
  'repos/create-deployment': onRepository(['deployments=write'], createDeployment),
  'repos/list-deployments': onRepository(['deployments=read'], listDeployments),
  'repos/list-deployment-statuses': onRepository(['deployments=read'], listStatuses),
  'repos/create-deployment-status': onRepository(['deployments=write'], createStatus),
};
