import type { ChangePlan, ChangeTarget, CheckPlan, DeployPlan, DockerDeployPlan, ProbePlan, StagePlan } from '../domain/plan.ts';
import type { DeploySettings, StageSettings } from './configuration.ts';
import type { Kinds } from './kinds.ts';

/** What only the names of a service and a stage can tell: defaults that come from them, and `{service}` and `{stage}` in texts. */

type Fill = (text: string) => string;

export function stageFrom({ change, deploy, watch, ...stage }: StageSettings, service: string): StagePlan {
  const fill: Fill = (text) => text.replaceAll('{service}', service).replaceAll('{stage}', stage.name);
  const changed = change === undefined ? {} : { change: changeFrom(change, service, fill) };
  return {
    ...stage,
    ...changed,
    ...(deploy === undefined ? {} : { deploy: deployFrom(deploy, changed.change?.target, service, fill) }),
    ...(watch === undefined ? {} : { watch: { ...watch, probes: watch.probes.map((probe) => probeFrom(probe, fill)) } }),
  };
}

export function checkFrom(check: CheckPlan, service: string, { checks }: Kinds): CheckPlan {
  const kind = checks.find(({ kind }) => kind === check.kind);
  if (kind?.fill === undefined) return check;
  return { ...check, settings: kind.fill(check.settings, (text) => text.replaceAll('{service}', service)) };
}

function changeFrom(change: NonNullable<StageSettings['change']>, service: string, fill: Fill): ChangePlan {
  const target = change.target ?? { kind: 'compose', services: [service] };
  return { ...change, file: fill(change.file), target: filledTarget(target, fill) };
}

function filledTarget(target: ChangeTarget, fill: Fill): ChangeTarget {
  switch (target.kind) {
    case 'compose':
      return { ...target, services: target.services.map(fill) };
    case 'yaml':
      return { ...target, path: fill(target.path) };
    case 'marker':
      return { ...target, name: fill(target.name) };
    case 'env':
      return { ...target, key: fill(target.key) };
  }
}

function deployFrom(deploy: DeploySettings, changed: ChangeTarget | undefined, service: string, fill: Fill): DeployPlan {
  switch (deploy.kind) {
    case 'compose': {
      const services = deploy.services?.map(fill) ?? (changed?.kind === 'compose' ? changed.services : [service]);
      const project = deploy.project === undefined ? {} : { project: fill(deploy.project) };
      return { ...deploy, ...project, directory: fill(deploy.directory), files: deploy.files.map(fill), services };
    }
    case 'docker':
      return { ...deploy, containers: filledContainers(deploy.containers, fill) };
    default:
      return deploy;
  }
}

function filledContainers(containers: DockerDeployPlan['containers'], fill: Fill): DockerDeployPlan['containers'] {
  return 'names' in containers ? { names: containers.names.map(fill) } : { label: fill(containers.label) };
}

function probeFrom(probe: ProbePlan, fill: Fill): ProbePlan {
  switch (probe.kind) {
    case 'http':
      return { ...probe, url: fill(probe.url) };
    case 'tcp':
      return { ...probe, host: fill(probe.host) };
    case 'docker':
      return probe.containers === undefined ? probe : { ...probe, containers: probe.containers.map(fill) };
    case 'command':
      return probe;
  }
}
