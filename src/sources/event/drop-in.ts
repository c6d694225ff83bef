import type { Environment } from '../../domain/environment.ts';
import { isLoopbackHost } from '../../domain/plain-http.ts';
import { asciiLowerCase } from '../kit/image.ts';
import type { DropIn } from '../kit/source.ts';

/** All of them, or none. */
const required = ['GITHUB_OIDC_AUDIENCE', 'GITHUB_ALLOWED_ORG', 'ALLOWED_IMAGE_PREFIX'] as const;

export interface JobVariables {
  readonly audience: string;
  readonly owner: string;
  /** Of images. */
  readonly prefix: string;
}

/** Undefined where none is set. */
export function jobVariables(env: Environment): JobVariables | { readonly problem: string } | undefined {
  const [audience = '', owner = '', prefix = ''] = required.map((name) => env[name]?.trim());
  const missing = required.filter((name) => !env[name]?.trim());
  if (missing.length === required.length) return undefined;
  if (missing.length > 0) {
    const is = missing.length === 1 ? 'is' : 'are';
    return {
      problem: `expected ${required.join(', ')} together, but ${missing.join(' and ')} ${is} not set: set all of them, or none`,
    };
  }
  if (!prefix.includes('/')) {
    return { problem: `ALLOWED_IMAGE_PREFIX: expected a registry and an owner, such as ghcr.io/my-org/, found '${prefix}'` };
  }
  return { audience, owner, prefix };
}

/**
 * The configuration of a Landfall that takes the place of kuberollouttrigger, of which it understands `WEB_LISTEN_ADDR` and `LOG_LEVEL` as well.
 * `LANDFALL_OPERATORS` (HOST:PORT) is where operators' pages are. The receiver is made from the same variables as beside a file.
 * @returns undefined unless the environment asks for it
 * @see https://github.com/UnitVectorY-Labs/kuberollouttrigger
 */
export function eventDropIn(env: Environment): DropIn | undefined {
  const variables = jobVariables(env);
  if (variables === undefined) return undefined;
  // What is missing is said by the receiver.
  const prefix = 'problem' in variables ? undefined : asciiLowerCase(variables.prefix);
  const configuration = {
    listen: {
      webhooks: (env.WEB_LISTEN_ADDR || '0.0.0.0:8080').replace(/^:/, '0.0.0.0:'),
      ...(env.LANDFALL_OPERATORS && { operators: env.LANDFALL_OPERATORS }),
    },
    log: { level: logLevel(env) },
    ...(prefix && isOfThisMachine(prefix) && { registries: { [hostOf(prefix)]: { plainHttp: true } } }),
    services: prefix === undefined ? [] : [restartedBelow(prefix)],
  };
  return {
    // JSON is YAML, and quotes whatever the environment may hold.
    text: JSON.stringify(configuration, undefined, 2),
    serves: `in place of kuberollouttrigger: what runs an image below ${prefix} is restarted when a job reports a push of its tag`,
    because: `${required.slice(0, -1).join(', ')} and ${required.at(-1)}`,
    needsCluster: true,
    warning: notes(env).join('\n'),
  };
}

/** Every workload of the cluster that has this very tag, and each tag for itself: `dev` says nothing about `latest`. */
function restartedBelow(prefix: string): object {
  return {
    image: `${prefix}**`,
    tags: { pattern: '.*', order: 'none' },
    scan: 'off',
    smoke: 'off',
    deploy: { kubernetes: { namespace: '*', image: 'tag' } },
    rollback: 'auto',
  };
}

function logLevel({ LOG_LEVEL = '', DEBUG = '' }: Environment): string {
  const level = LOG_LEVEL.trim().toLowerCase();
  if (['debug', 'info', 'warn', 'error'].includes(level)) return level;
  return /^(?:1|true|yes|on)$/i.test(DEBUG) ? 'debug' : 'info';
}

/** Docker and containerd speak HTTP with such a one, too. */
function isOfThisMachine(prefix: string): boolean {
  return isLoopbackHost(hostOf(prefix).replace(/:\d+$/, ''));
}

function hostOf(prefix: string): string {
  return prefix.slice(0, prefix.indexOf('/'));
}

function notes(env: Environment): string[] {
  const unused = Object.keys(env).filter((name) => name.startsWith('VALKEY_') && env[name]);
  const isDev = /^(?:1|true)$/i.test(env.DEV_MODE ?? '');
  return [
    'Nothing is scanned or smoke-tested: for that, copy the landfall.yaml of docs/kubernetes.md (Coming from kuberollouttrigger), and say scan and smoke there.',
    ...(unused.length > 0
      ? [`Not needed, and without effect: ${unused.sort().join(', ')}. Temporal keeps events, no Valkey does.`]
      : []),
    ...(isDev ? ['Without effect: DEV_MODE. The tokens of jobs are always verified.'] : []),
  ];
}
