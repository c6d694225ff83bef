import { isGitHubRepository } from '../domain/github-repository.ts';
import type { DockerDeployPlan } from '../domain/plan.ts';
import { type Complain, within } from '../settings/problem.ts';
import type { DeploySettings } from './configuration.ts';
import type { DeployInput } from './deploy-schema.ts';
import { needsGitHub } from './resolve-change.ts';
import type { StageContext } from './resolve-stage.ts';

const minute = 60_000;
const kinds = ['compose', 'docker', 'workflow', 'deployment'] as const;

/** Undefined if it cannot be told what is meant. */
export function resolveDeploy(deploy: DeployInput, context: StageContext, complain: Complain): DeploySettings | undefined {
  const { compose, docker, workflow, deployment } = deploy;
  const named = kinds.filter((kind) => deploy[kind] !== undefined);
  if (named.length !== 1) {
    complain([], `expected one of ${kinds.join(', ')}, found ${named.length === 0 ? 'none' : named.join(' and ')}`);
    return undefined;
  }
  const host = deploy.on === undefined ? {} : { on: deploy.on };
  if (compose !== undefined) return { kind: 'compose', ...host, ...resolveCompose(compose, within(complain, 'compose')) };
  if (docker !== undefined) return { kind: 'docker', ...host, ...resolveDocker(docker, within(complain, 'docker')) };
  if (deploy.on !== undefined)
    complain(['on'], `expected no host beside ${named[0]}, which GitHub is asked for, found '${deploy.on}'`);
  if (workflow !== undefined) return resolveWorkflow(workflow, context, within(complain, 'workflow'));
  return resolveDeployment(deployment ?? {}, context, within(complain, 'deployment'));
}

function resolveCompose(compose: NonNullable<DeployInput['compose']>, complain: Complain) {
  const { directory = '', file, files, project, services, before, after, timeout, others } = compose;
  if (directory === '') complain(['directory'], 'expected an absolute path on the host, found nothing');
  if (file !== undefined && files !== undefined) complain([], 'expected only one of file and files, found both');
  return {
    directory,
    files: files ?? (file === undefined ? [] : [file]),
    ...(project === undefined ? {} : { project }),
    ...(services === undefined ? {} : { services }),
    before: before ?? [],
    after: after ?? [],
    timeoutMs: timeout ?? 5 * minute,
    others: others ?? ('ask' as const),
  };
}

function resolveDocker(docker: NonNullable<DeployInput['docker']>, complain: Complain): Omit<DockerDeployPlan, 'kind' | 'on'> {
  const { container, containers, label, canary, batch, timeout } = docker;
  const named = Object.entries({ container, containers, label }).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  if (named.length !== 1)
    complain([], `expected one of container, containers and label, found ${named.length === 0 ? 'none' : named.join(' and ')}`);
  return {
    containers: label === undefined ? { names: containers ?? (container === undefined ? [] : [container]) } : { label },
    ...(canary === undefined ? {} : { canary }),
    ...(batch === undefined ? {} : { batch }),
    timeoutMs: timeout ?? 2 * minute,
  };
}

function resolveWorkflow(input: NonNullable<DeployInput['workflow']>, context: StageContext, complain: Complain): DeploySettings {
  const { workflow = '', inputs, timeout } = input;
  if (workflow === '') complain(['workflow'], 'expected the file name or id of a workflow, such as deploy.yml, found nothing');
  return {
    kind: 'workflow',
    repository: repositoryOf(input, context, complain),
    workflow,
    ref: refOf(input, context),
    inputs: inputs ?? {},
    timeoutMs: timeout ?? 30 * minute,
  };
}

function resolveDeployment(
  input: NonNullable<DeployInput['deployment']>,
  context: StageContext,
  complain: Complain,
): DeploySettings {
  return {
    kind: 'deployment',
    repository: repositoryOf(input, context, complain),
    ref: refOf(input, context),
    environment: input.environment ?? context.stage,
    timeoutMs: input.timeout ?? 30 * minute,
  };
}

/** If nothing else is said, GitHub is asked in the deployment repository. */
export function repositoryOf(
  { repository }: { readonly repository?: string },
  { change, hasGitHub }: StageContext,
  complain: Complain,
): string {
  const named = repository ?? (change !== undefined && isGitHubRepository(change.repository) ? change.repository : undefined);
  if (named === undefined)
    complain(['repository'], 'expected a GitHub repository as owner/name, found nothing here and in change');
  else if (!hasGitHub) complain(['repository'], needsGitHub(named));
  return named ?? '';
}

function refOf({ ref }: { readonly ref?: string }, { change }: StageContext): string {
  return ref ?? change?.base ?? 'main';
}
