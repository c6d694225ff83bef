import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { messageOf } from '../../domain/errors.ts';
import { childEnvironment, cloudAccounts } from '../processes/environment.ts';
import { runProgram } from '../processes/launcher.ts';
import { type ClusterContext, type ExecPlugin, KubeconfigError } from './kubeconfig.ts';

/** By what one is known to an API server. `validUntil` in milliseconds since 1970; absent: nobody says. */
export interface KubernetesCredentials {
  /** The value of the header Authorization. */
  readonly authorization?: string;
  /** PEM. */
  readonly certificate?: string;
  readonly key?: string;
  readonly validUntil?: number;
}

/** Tokens in files are replaced long before they are over. Kubernetes' own client reads them anew so often. */
const tokenFileMs = 60_000;
const pluginMs = 60_000;
/** A plugin's answer is used no longer than until shortly before its end. */
const earlyMs = 10_000;

/** @throws KubeconfigError where a file is not there, or a plugin fails */
export async function readCredentials(
  context: ClusterContext,
  env: Environment,
  signal: AbortSignal,
): Promise<KubernetesCredentials> {
  const { user } = context;
  const certificate = user['client-certificate-data'] ?? (await read(user['client-certificate']));
  const key = user['client-key-data'] ?? (await read(user['client-key']));
  const own = { ...(certificate !== undefined && { certificate }), ...(key !== undefined && { key }) };
  if (user.tokenFile !== undefined) {
    const token = await read(user.tokenFile);
    return { ...own, authorization: `Bearer ${token?.trim()}`, validUntil: Date.now() + tokenFileMs };
  }
  if (user.token !== undefined) return { ...own, authorization: `Bearer ${user.token}` };
  if (user.username !== undefined) {
    const encoded = Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64');
    return { ...own, authorization: `Basic ${encoded}` };
  }
  return user.exec ? { ...own, ...(await askPlugin(user.exec, context, env, signal)) } : own;
}

async function read(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new KubeconfigError(`expected the file ${path} that the kubeconfig names: ${messageOf(error)}`, { cause: error });
  }
}

const execCredential = z.looseObject({
  status: z.looseObject({
    token: z.string().nullish(),
    clientCertificateData: z.string().nullish(),
    clientKeyData: z.string().nullish(),
    expirationTimestamp: z.string().nullish(),
  }),
});

/** https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins */
async function askPlugin(
  plugin: ExecPlugin,
  { name, cluster }: ClusterContext,
  env: Environment,
  signal: AbortSignal,
): Promise<KubernetesCredentials> {
  const { apiVersion, command, args, env: own, provideClusterInfo, installHint } = plugin;
  const about = provideClusterInfo && {
    cluster: {
      server: cluster.server,
      ...(cluster['certificate-authority-data'] && {
        'certificate-authority-data': Buffer.from(cluster['certificate-authority-data']).toString('base64'),
      }),
      ...(cluster['tls-server-name'] && { 'tls-server-name': cluster['tls-server-name'] }),
    },
  };
  const info = { apiVersion, kind: 'ExecCredential', spec: { interactive: false, ...about } };
  const failed = (why: string, cause?: unknown) =>
    new KubeconfigError(
      `${command}, which the context ${name} names for credentials, ${why}${installHint ? `; ${installHint}` : ''}`,
      {
        cause,
      },
    );
  const run = {
    command: [command, ...(args ?? [])],
    environment: {
      ...childEnvironment(env, [...cloudAccounts, 'CLOUDSDK_*', 'KUBECONFIG', 'KUBERNETES_*']),
      ...Object.fromEntries((own ?? []).map(({ name, value }) => [name, value])),
      KUBERNETES_EXEC_INFO: JSON.stringify(info),
    },
    timeoutMs: pluginMs,
    leavesSome: true,
    signal,
  };
  const { code, stdout, stderr } = await runProgram(run).catch((error: unknown) => {
    signal.throwIfAborted();
    throw failed(`could not be run: ${messageOf(error)}`, error);
  });
  if (code !== 0) throw failed(`failed: ${stderr.trim().slice(-500) || `exit code ${code}`}`);
  const { data } = execCredential.safeParse(parsedJson(stdout));
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = data?.status ?? {};
  if (!token && !clientCertificateData) throw failed('answered with neither a token nor a certificate');
  return {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(clientCertificateData && clientKeyData && { certificate: clientCertificateData, key: clientKeyData }),
    ...(expirationTimestamp && { validUntil: Date.parse(expirationTimestamp) - earlyMs }),
  };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
