import type { ChangeTarget, CheckPlan, DeployPlan, ProbePlan, StagePlan } from '../domain/plan.ts';
import type { Kinds } from './kinds.ts';

/** What only the names of a service and a stage can tell: defaults that come from them, and `{service}` and `{stage}` in texts. */

type Fill = (text: string) => string;

export function stageFrom({ change, deploy, watch, ...stage }: StagePlan, service: string, kinds: Kinds): StagePlan {
  const fill: Fill = (text) => text.replaceAll('{service}', service).replaceAll('{stage}', stage.name);
  return {
    ...stage,
    ...(change !== undefined && { change: { ...change, file: fill(change.file), target: filledTarget(change.target, fill) } }),
    ...(deploy !== undefined && { deploy: deployFrom(deploy, fill, kinds) }),
    ...(watch !== undefined && { watch: { ...watch, probes: watch.probes.map((probe) => probeFrom(probe, fill)) } }),
  };
}

export function checkFrom(check: CheckPlan, service: string, { checks }: Kinds): CheckPlan {
  const kind = checks.find(({ kind }) => kind === check.kind);
  if (kind?.fill === undefined) return check;
  return { ...check, settings: kind.fill(check.settings, (text) => text.replaceAll('{service}', service)) };
}

function deployFrom(deploy: DeployPlan, fill: Fill, { deploys }: Kinds): DeployPlan {
  const kind = deploys.find(({ kind }) => kind === deploy.kind);
  return kind?.fill === undefined ? deploy : { ...deploy, settings: kind.fill(deploy.settings, fill) };
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
