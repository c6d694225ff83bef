import type { Environment } from '../../domain/environment.ts';

/** What any program needs to find its files, its language and the network. `*` stands for any end of a name. */
const common = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'LC_*',
  'TZ',
  'TMPDIR',
  'XDG_*',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()]),
];

/** What credential helpers of clouds, and Trivy itself, sign in to the registries and repositories there with. */
export const cloudAccounts = ['AWS_*', 'AZURE_*', 'GOOGLE_*'];

/**
 * What a program that Landfall starts gets of its environment: only what is named, as there are secrets, and variables that would change
 * what it does. @param also further names, beside those that any program needs; `*` at the end stands for any end
 */
export function childEnvironment(env: Environment, also: readonly string[]): Record<string, string | undefined> {
  const allowed = [...common, ...also];
  // Curl, and with it git, reads this one in lower case only.
  const proxy = env.http_proxy ?? env.HTTP_PROXY;
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => isNamed(name, allowed))),
    ...(proxy && { http_proxy: proxy }),
  };
}

/** Whether a variable is no secret from anything that Landfall starts. */
export function isGivenToEveryChild(name: string): boolean {
  return isNamed(name, common);
}

function isNamed(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
}
