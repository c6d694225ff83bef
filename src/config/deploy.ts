import type { z } from 'zod';
import type { DeployKind } from '../deploys/deploy.ts';
import type { Environment } from '../domain/environment.ts';
import type { DeployPlan, StagePlan } from '../domain/plan.ts';
import { type Complain, within } from '../settings/problem.ts';
import { hostName } from '../settings/scalars.ts';
import { byKey, map, oneOf, optional } from '../settings/wording.ts';
import { type Kinds, type StageContext, saidOf } from './kinds.ts';

/** How a stage may say that the image comes to run, and on which host. All of it may come from a level above, so nothing is required. */

/** The host of deploys that name none: the one that Landfall itself runs on. */
const defaultHost = 'default';

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

/** The hosts whose deploys a process without a server does: those that it is told, else what names no host. */
export function servedHere({ LANDFALL_HOSTS }: Environment): string[] {
  return (LANDFALL_HOSTS || defaultHost).split(',').map((name) => name.trim());
}

type StagesOfServices = { readonly services: readonly { readonly stages: readonly Pick<StagePlan, 'deploy'>[] }[] };

/** The hosts that deploys of the configuration name with `on`, each once, in the order of the file. */
export function deployHosts({ services }: StagesOfServices): string[] {
  const deploys = services.flatMap(({ stages }) => stages.flatMap(({ deploy }) => deploy ?? []));
  return [...new Set(deploys.flatMap(({ host }) => host ?? []))];
}

/** The hosts whose deploys this process takes: those of `LANDFALL_HOSTS` (a list with commas), else all. One that no deploy names is a typo. */
export function hostsToServe(
  configuration: StagesOfServices,
  { LANDFALL_HOSTS }: Environment,
): { readonly hosts: string[] } | { readonly problem: string } {
  const known = deployHosts(configuration);
  if (!LANDFALL_HOSTS) return { hosts: known };
  const wanted = LANDFALL_HOSTS.split(',').map((name) => name.trim());
  const unknown = wanted.find((name) => name !== defaultHost && !known.includes(name));
  if (unknown === undefined) return { hosts: [...new Set(wanted)] };
  const expected =
    known.length === 0 ? 'none, because no deploy of the configuration needs a host' : `a list of ${known.join(', ')}`;
  return { problem: `LANDFALL_HOSTS: expected ${expected}, found '${unknown}'` };
}
