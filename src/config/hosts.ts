import type { Environment } from '../domain/environment.ts';
import type { Configuration } from './configuration.ts';

/** The host of deploys that name none: the one that Landfall itself runs on. */
export const defaultHost = 'default';

/** The hosts that deploys of the configuration name with `on`, each once, in the order of the file. */
export function deployHosts({ services }: Configuration): string[] {
  const hosts = services.flatMap(({ stages }) =>
    stages.flatMap(({ deploy }) => (deploy?.host === undefined ? [] : [deploy.host])),
  );
  return [...new Set(hosts)];
}

/**
 * The hosts whose deploys this process takes: those of `LANDFALL_HOSTS` (a list with commas), else all. One that no deploy names is a
 * slip of the pen, whose deploys would wait for ever.
 */
export function hostsToServe(
  configuration: Configuration,
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
