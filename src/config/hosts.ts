import type { BuildPart } from '../domain/build.ts';
import type { Environment } from '../domain/environment.ts';
import type { StagePlan } from '../domain/plan.ts';

/** The hosts on which deploys and builds are done. */

/** The host of those that name none: the one that Landfall itself runs on. */
export const defaultHost = 'default';

/** The hosts whose deploys a process without a server does: those that it is told, else what names no host. */
export function servedHere({ LANDFALL_HOSTS }: Environment): string[] {
  return (LANDFALL_HOSTS || defaultHost).split(',').map((name) => name.trim());
}

type StagesOfServices = {
  readonly services: readonly { readonly stages: readonly Pick<StagePlan, 'deploy'>[] }[];
  readonly builds?: readonly { readonly parts: readonly Pick<BuildPart, 'host'>[] }[];
};

/** The hosts on which deploys and builds of the configuration are done, each once, in the order of the file. */
export function deployHosts({ services, builds = [] }: StagesOfServices): string[] {
  const deploys = services.flatMap(({ stages }) => stages.flatMap(({ deploy }) => deploy ?? []));
  const built = builds.flatMap(({ parts }) => parts.map(({ host = defaultHost }) => host));
  return [...new Set([...deploys.flatMap(({ host }) => host ?? []), ...built])];
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
