import type { z } from 'zod';
import type { DeployKind } from '../deploys/deploy.ts';
import type { DeployPlan } from '../domain/plan.ts';
import { type Complain, within } from '../settings/problem.ts';
import { hostName } from '../settings/scalars.ts';
import { byKey, map, oneOf, optional } from '../settings/wording.ts';
import { defaultHost } from './hosts.ts';
import { type Kinds, type StageContext, saidOf } from './kinds.ts';

/** How a stage may say that the image comes to run, and on which host. All of it may come from a level above, so nothing is required. */

export function deploySchema({ deploys }: Kinds) {
  const on = optional(hostName, 'The host whose worker does it (LANDFALL_HOSTS there names it). Default: default.');
  const kinds = byKey(deploys.map(({ kind, schema }) => [kind, schema]));
  return map({ on, ...kinds }, `How the image comes to run: one of ${oneOf(Object.keys(kinds), 'and')}.`);
}

export type DeployInput = z.output<ReturnType<typeof deploySchema>>;

/** The kinds that are named: one, where it is right. */
export function deploysOf(deploy: DeployInput, { deploys }: Kinds): readonly DeployKind[] {
  return deploys.filter(({ kind }) => saidOf(deploy, kind) !== undefined);
}

/** Undefined where it cannot be told what is meant. */
export function resolveDeploy(deploy: DeployInput, context: StageContext, complain: Complain): DeployPlan | undefined {
  const named = deploysOf(deploy, context.kinds);
  const [only, ...more] = named;
  if (only === undefined || more.length > 0) {
    const [known, found] = [context.kinds.deploys, named].map((kinds) => kinds.map(({ kind }) => kind));
    complain([], `expected one of ${known?.join(', ')}, found ${found?.join(' and ') || 'none'}`);
    return undefined;
  }
  const { kind, asks, foresees = false, proves = false } = only;
  if (asks !== undefined && deploy.on !== undefined)
    complain(['on'], `expected no host beside ${kind}, which ${asks} is asked for, found '${deploy.on}'`);
  return {
    kind,
    ...(asks === undefined && { host: deploy.on ?? defaultHost }),
    foresees,
    proves,
    ...only.resolve(saidOf(deploy, kind), context, within(complain, kind)),
  };
}
