import type { DeployKind } from '../deploys/deploy.ts';
import type { DeployPlan } from '../domain/plan.ts';
import { type Complain, within } from '../settings/problem.ts';
import type { DeployInput } from './deploy-schema.ts';
import { defaultHost } from './hosts.ts';
import type { Kinds } from './kinds.ts';
import type { StageContext } from './service-context.ts';

/** The kinds that are named: one, where it is right. */
export function deploysOf(deploy: DeployInput, { deploys }: Kinds): readonly DeployKind[] {
  return deploys.filter(({ kind }) => saidOf(deploy, kind) !== undefined);
}

/** Undefined where it cannot be told what is meant. */
export function resolveDeploy(deploy: DeployInput, context: StageContext, complain: Complain): DeployPlan | undefined {
  const named = deploysOf(deploy, context.kinds);
  const [kind, ...more] = named;
  if (kind === undefined || more.length > 0) {
    const [known, found] = [context.kinds.deploys, named].map((kinds) => kinds.map((each) => each.kind));
    complain([], `expected one of ${known?.join(', ')}, found ${found?.join(' and ') || 'none'}`);
    return undefined;
  }
  const { asks, foresees = false, proves = false } = kind;
  if (asks !== undefined && deploy.on !== undefined)
    complain(['on'], `expected no host beside ${kind.kind}, which ${asks} is asked for, found '${deploy.on}'`);
  return {
    kind: kind.kind,
    ...(asks === undefined && { host: deploy.on ?? defaultHost }),
    foresees,
    proves,
    ...kind.resolve(saidOf(deploy, kind.kind), context, within(complain, kind.kind)),
  };
}

/** Of what is said of a kind, only the kind itself knows the type. */
function saidOf(deploy: DeployInput, kind: string): unknown {
  return new Map<string, unknown>(Object.entries(deploy)).get(kind);
}
