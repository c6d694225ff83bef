import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { messageOf } from '../../domain/errors.ts';

/*
 * Where an API server is, and by what one is known there: from the files that kubectl reads, or in a pod from its service account. Read by ourselves
 * because of what the official client does with it: docs/decisions/0045-kubernetes-by-its-api.md.
 */

/** Unusable, or not there. Not a Refusal yet: whoever asks says what was to be done. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError';
}

/** A cluster and a user of it, as a context names them. Paths are absolute. */
export interface ClusterContext {
  /** For people: the context's name, or that it is the cluster in which this runs. */
  readonly name: string;
  readonly cluster: KubernetesCluster;
  readonly user: KubernetesUser;
  readonly namespace?: string;
}

const data = z.string().transform((text) => Buffer.from(text, 'base64').toString('utf8'));

const cluster = z.looseObject({
  server: z.url({ protocol: /^https?$/ }),
  'certificate-authority': z.string().optional(),
  'certificate-authority-data': data.optional(),
  'insecure-skip-tls-verify': z.boolean().optional(),
  'tls-server-name': z.string().optional(),
  'proxy-url': z.url().optional(),
});
export type KubernetesCluster = z.output<typeof cluster>;

const exec = z.looseObject({
  apiVersion: z.enum(['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']),
  command: z.string().min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(z.looseObject({ name: z.string(), value: z.string() })).nullish(),
  provideClusterInfo: z.boolean().optional(),
  installHint: z.string().optional(),
});
export type ExecPlugin = z.output<typeof exec>;

const user = z.looseObject({
  token: z.string().optional(),
  tokenFile: z.string().optional(),
  'client-certificate': z.string().optional(),
  'client-certificate-data': data.optional(),
  'client-key': z.string().optional(),
  'client-key-data': data.optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  exec: exec.nullish(),
});
export type KubernetesUser = z.output<typeof user>;

const named = <Key extends string, Value extends z.ZodType>(key: Key, value: Value) =>
  z.array(z.looseObject({ name: z.string(), [key]: value } as { name: z.ZodString } & Record<Key, Value>)).nullish();

const kubeconfig = z.looseObject({
  'current-context': z.string().nullish(),
  // What is wrong with one that is not asked for is nobody's problem.
  clusters: named('cluster', z.unknown()),
  users: named('user', z.unknown()),
  contexts: named('context', z.looseObject({ cluster: z.string(), user: z.string(), namespace: z.string().optional() })),
});
type Kubeconfig = z.output<typeof kubeconfig>;

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * As kubectl finds it: the files of `KUBECONFIG`, else `~/.kube/config`, else the service account of the pod that this is.
 * @param context absent: the current one
 * @throws KubeconfigError that says what was looked for where
 */
export async function readClusterContext(env: Environment, context?: string): Promise<ClusterContext> {
  const paths = kubeconfigPaths(env);
  const files = await Promise.all(paths.filter(existsSync).map(async (path) => ({ path, content: await readKubeconfig(path) })));
  if (files.length > 0) return contextOf(files, context);
  const inCluster = await serviceAccount(env);
  const where = paths.join(' and ');
  if (inCluster === undefined)
    throw new KubeconfigError(
      `expected a kubeconfig, found none at ${where}, and this is no pod with a service account: let KUBECONFIG name one`,
    );
  if (context === undefined) return inCluster;
  throw new KubeconfigError(
    `expected a kubeconfig with the context ${context}, found none at ${where}: let KUBECONFIG name it, or leave context out to use the service account of this pod`,
  );
}

function kubeconfigPaths({ KUBECONFIG, HOME = homedir() }: Environment): string[] {
  const named = KUBECONFIG?.split(delimiter).filter((path) => path !== '') ?? [];
  return named.length > 0 ? named.map((path) => resolve(path)) : [join(HOME, '.kube', 'config')];
}

async function readKubeconfig(path: string): Promise<Kubeconfig> {
  try {
    return kubeconfig.parse(parse(await readFile(path, 'utf8')) ?? {});
  } catch (error) {
    throw new KubeconfigError(`expected a kubeconfig at ${path}, found something else: ${reasonOf(error)}`, { cause: error });
  }
}

interface KubeconfigFile {
  readonly path: string;
  readonly content: Kubeconfig;
}

/** Of several files the first one that names something counts, as with kubectl. */
function contextOf(files: readonly KubeconfigFile[], asked: string | undefined): ClusterContext {
  const where = files.map(({ path }) => path).join(' and ');
  const find = <Item extends { readonly name: string }>(
    kind: string,
    itemsOf: (content: Kubeconfig) => readonly Item[] | null | undefined,
    name: string,
  ): { readonly item: Item; readonly path: string } => {
    for (const { path, content } of files) {
      const item = itemsOf(content)?.find((each) => each.name === name);
      if (item !== undefined) return { item, path };
    }
    const known = files.flatMap(({ content }) => itemsOf(content)?.map((each) => each.name) ?? []);
    throw new KubeconfigError(`expected the ${kind} ${name} in ${where}, found ${known.join(', ') || 'none'}`);
  };
  const name = asked ?? files.map(({ content }) => content['current-context']).find(Boolean);
  if (!name) throw new KubeconfigError(`expected a current context in ${where}, found none: name one by context`);
  const { context } = find('context', ({ contexts }) => contexts, name).item;
  const clusterFound = find('cluster', ({ clusters }) => clusters, context.cluster);
  const userFound = find('user', ({ users }) => users, context.user);
  const itsCluster = parsedAs(cluster, clusterFound.item.cluster, `the cluster ${context.cluster}`, clusterFound.path);
  const itsUser = parsedAs(user, userFound.item.user ?? {}, `the user ${context.user}`, userFound.path);
  const { exec } = itsUser;
  return {
    name,
    cluster: withPaths(itsCluster, clusterFound.path, ['certificate-authority']),
    user: {
      ...withPaths(itsUser, userFound.path, ['tokenFile', 'client-certificate', 'client-key']),
      // One without a slash is looked for in PATH.
      ...(exec?.command.includes('/') && { exec: withPaths(exec, userFound.path, ['command']) }),
    },
    ...(context.namespace && { namespace: context.namespace }),
  };
}

function parsedAs<Schema extends z.ZodType>(schema: Schema, found: unknown, what: string, path: string): z.output<Schema> {
  const { data: parsed, error } = schema.safeParse(found);
  if (error === undefined) return parsed;
  throw new KubeconfigError(`expected ${what} of ${path} to be usable: ${reasonOf(error)}`, { cause: error });
}

/** Paths are relative to the file that names them. */
function withPaths<Part extends object>(part: Part, file: string, keys: readonly (keyof Part)[]): Part {
  const absolute = keys.flatMap((key) => {
    const path = part[key];
    return typeof path === 'string' && !isAbsolute(path) ? [[key, resolve(dirname(file), path)]] : [];
  });
  return { ...part, ...Object.fromEntries(absolute) };
}

/** What Kubernetes gives every pod; undefined: this is none. */
async function serviceAccount(env: Environment): Promise<ClusterContext | undefined> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  const tokenFile = join(accountFolder, 'token');
  if (!host || !existsSync(tokenFile)) return undefined;
  const namespace = await readFile(join(accountFolder, 'namespace'), 'utf8').catch(() => undefined);
  return {
    name: 'the cluster in which this runs',
    cluster: {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      'certificate-authority': join(accountFolder, 'ca.crt'),
    },
    user: { tokenFile },
    ...(namespace && { namespace: namespace.trim() }),
  };
}

/** Never with a value: there are secrets in it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof z.ZodError)) return messageOf(error).split('\n', 1)[0] ?? '';
  return error.issues.map(({ path, message }) => `${path.join('.') || 'the whole'}: ${message}`).join('; ');
}
