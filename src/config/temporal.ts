import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Environment } from '../domain/environment.ts';
import type { Complaint } from '../settings/problem.ts';
import { port, type SecretCheck, secret, text, url } from '../settings/scalars.ts';
import type { SecretResolver } from '../settings/secrets.ts';
import { map, showValue } from '../settings/wording.ts';

/** Where Temporal is. The key is a reference to a secret. */
export type TemporalSettings = EmbeddedTemporalSettings | TemporalCluster;

export interface EmbeddedTemporalSettings {
  readonly kind: 'embedded';
  /** Absent: that of the last start, or Temporal's usual port, where that is free, else any. */
  readonly port?: number;
  readonly namespace: string;
  readonly uiUrl?: string;
}

export interface TemporalCluster {
  readonly kind: 'cluster';
  /** `HOST:PORT` */
  readonly address: string;
  readonly namespace: string;
  readonly tls: boolean | TemporalTls;
  readonly apiKey?: string;
  /** Where people look at it. */
  readonly uiUrl?: string;
}

export interface TemporalTls {
  readonly serverName?: string;
  /** Absolute. */
  readonly ca?: string;
  /** Absolute. */
  readonly certificate?: string;
  readonly key?: string;
}

export type TemporalInput = z.output<ReturnType<typeof temporal>>;

const defaultNamespace = 'default';

/**
 * Temporal's own variables (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`) win over the file, as they do for Temporal's
 * command.
 */
export function temporalSettings(input: TemporalInput, env: Environment, directory: string): TemporalSettings {
  const address = env.TEMPORAL_ADDRESS || input.address;
  const namespace = env.TEMPORAL_NAMESPACE || input.namespace || defaultNamespace;
  const ui = input.ui === undefined ? {} : { uiUrl: input.ui };
  if (address === undefined)
    return { kind: 'embedded', namespace, ...ui, ...(input.port === undefined ? {} : { port: input.port }) };
  const apiKey = env.TEMPORAL_API_KEY ? 'env:TEMPORAL_API_KEY' : input.apiKey;
  const tls = typeof input.tls === 'object' ? absoluteFiles(input.tls, directory) : (input.tls ?? apiKey !== undefined);
  return { kind: 'cluster', address, namespace, tls, ...ui, ...(apiKey === undefined ? {} : { apiKey }) };
}

/** What only makes sense for a cluster needs the address of one. */
export function temporalComplaints(input: TemporalInput, env: Environment): Complaint[] {
  if (env.TEMPORAL_ADDRESS || input.address !== undefined) return [];
  const unused = (['tls', 'apiKey'] as const)
    .filter((key) => input[key] !== undefined)
    .map((key) => ({ path: ['temporal', key], message: `expected address beside ${key}: the embedded server has no ${key}` }));
  return [...unused, ...namespaceComplaints(input, env)];
}

/** The embedded server has one namespace, so naming another one means a cluster. */
function namespaceComplaints(input: TemporalInput, env: Environment): Complaint[] {
  const namespace = env.TEMPORAL_NAMESPACE || input.namespace || defaultNamespace;
  if (namespace === defaultNamespace) return [];
  const beside = env.TEMPORAL_NAMESPACE ? 'TEMPORAL_ADDRESS beside TEMPORAL_NAMESPACE' : 'address beside namespace';
  const message = `expected ${beside} ${showValue(namespace)}: the embedded server has only the namespace ${defaultNamespace}`;
  return [{ path: ['temporal', 'namespace'], message }];
}

/** What both `Connection.connect` and `NativeConnection.connect` of Temporal's SDK take. */
export interface TemporalConnectionOptions {
  readonly address: string;
  readonly tls?: boolean | TemporalTlsOptions;
  readonly apiKey?: string;
  /** For `Connection` only: the workers' connection knows no proxy but one that it is given. */
  readonly channelArgs?: Readonly<Record<string, number>>;
}

export interface TemporalTlsOptions {
  serverNameOverride?: string;
  serverRootCACertificate?: Buffer;
  clientCertPair?: { crt: Buffer; key: Buffer };
}

/** Of the embedded server: gRPC would send it through a proxy that `http_proxy` names, loopback or not. */
export function embeddedConnection(address: string): TemporalConnectionOptions {
  return { address, channelArgs: { 'grpc.enable_http_proxy': 0 } };
}

/** @throws Refusal `SecretMissing`, and the file system's errors for certificates */
export function connectionOptions(cluster: TemporalCluster, resolveSecret: SecretResolver): TemporalConnectionOptions {
  const { address, tls, apiKey } = cluster;
  return {
    address,
    ...(tls === false ? {} : { tls: tls === true ? true : tlsOptions(tls, resolveSecret) }),
    ...(apiKey === undefined ? {} : { apiKey: resolveSecret(apiKey) }),
  };
}

function tlsOptions({ serverName, ca, certificate, key }: TemporalTls, resolveSecret: SecretResolver): TemporalTlsOptions {
  const pair =
    certificate === undefined || key === undefined
      ? {}
      : { clientCertPair: { crt: readFileSync(certificate), key: Buffer.from(resolveSecret(key)) } };
  return {
    ...(serverName === undefined ? {} : { serverNameOverride: serverName }),
    ...(ca === undefined ? {} : { serverRootCACertificate: readFileSync(ca) }),
    ...pair,
  };
}

function absoluteFiles(tls: TemporalTls, directory: string): TemporalTls {
  return {
    ...tls,
    ...(tls.ca === undefined ? {} : { ca: resolve(directory, tls.ca) }),
    ...(tls.certificate === undefined ? {} : { certificate: resolve(directory, tls.certificate) }),
  };
}

export function temporal(check: SecretCheck) {
  const file = text('a file');
  const tls = map(
    {
      serverName: text('a host name')
        .meta({ description: 'The name in the certificate, where it is not that of the address.' })
        .exactOptional(),
      ca: file.meta({ description: 'Certificate authority (PEM), relative to this file.' }).exactOptional(),
      certificate: file.meta({ description: 'Client certificate (PEM), relative to this file.' }).exactOptional(),
      key: secret(check).meta({ description: 'Private key of the client certificate (PEM).' }).exactOptional(),
    },
    'TLS with more than the system knows.',
  ).refine((value) => (value.certificate === undefined) === (value.key === undefined), {
    error: 'expected certificate and key, or neither of them',
  });
  return map(
    {
      address: text('an address as HOST:PORT', /^\S+:\d{1,5}$/)
        .meta({ description: 'HOST:PORT of a Temporal cluster. Without it an embedded server is started.' })
        .exactOptional(),
      namespace: text('a namespace')
        .meta({ description: 'Namespace of the cluster. Default: default, the only one of the embedded server.' })
        .exactOptional(),
      tls: z
        .union([z.boolean(), tls], { error: (issue) => `expected true, false or a map, found ${showValue(issue.input)}` })
        .meta({ description: 'true, or certificates. Default: true with apiKey, else false.' })
        .exactOptional(),
      apiKey: secret(check).meta({ description: 'API key, as for Temporal Cloud.' }).exactOptional(),
      port: port
        .meta({ description: 'Port of the embedded server. Default: that of the last start, 7233, or a free one.' })
        .exactOptional(),
      ui: url("where people reach Temporal's page, for links to rollouts; default: that of the embedded server").exactOptional(),
    },
    'Where Temporal is: a cluster by address, or (the default) an embedded server.',
  ).superRefine((value, context) => {
    if (value.address !== undefined && value.port !== undefined) {
      context.addIssue({
        code: 'custom',
        path: ['port'],
        message: 'expected no port beside address: it is that of the embedded server',
      });
    }
  });
}
