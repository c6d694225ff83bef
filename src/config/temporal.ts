import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TLSConfig } from '@temporalio/client';
import { z } from 'zod';
import type { Environment } from '../domain/environment.ts';
import type { Complaint } from '../settings/problem.ts';
import { port, type SecretCheck, secret, text, url } from '../settings/scalars.ts';
import type { SecretResolver } from '../settings/secrets.ts';
import { expecting, map, optional, showValue } from '../settings/wording.ts';

function tlsSchema(check: SecretCheck) {
  const file = text('a file');
  return map(
    {
      serverName: optional(text('a host name'), 'The name in the certificate, where it is not that of the address.'),
      ca: optional(file, 'Certificate authority (PEM), relative to this file.'),
      certificate: optional(file, 'Client certificate (PEM), relative to this file.'),
      key: optional(secret(check), 'Private key of the client certificate (PEM).'),
    },
    'TLS with more than the system knows.',
  ).refine((value) => (value.certificate === undefined) === (value.key === undefined), {
    error: 'expected certificate and key, or neither of them',
  });
}

export function temporal(check: SecretCheck) {
  return map(
    {
      address: optional(
        text('an address as HOST:PORT', /^\S+:\d{1,5}$/),
        'HOST:PORT of a Temporal cluster. Without it an embedded server is started.',
      ),
      namespace: optional(
        text('a namespace'),
        'Namespace of the cluster. Default: default, the only one of the embedded server.',
      ),
      tls: optional(
        z.union([z.boolean(), tlsSchema(check)], expecting('true, false or a map')),
        'true, or certificates. Default: true with apiKey, else false.',
      ),
      apiKey: optional(secret(check), 'API key, as for Temporal Cloud.'),
      port: optional(port, 'Port of the embedded server. Default: that of the last start, 7233, or a free one.'),
      ui: url("where people reach Temporal's page, for links to rollouts; default: that of the embedded server").exactOptional(),
    },
    'Where Temporal is: a cluster by address, or (the default) an embedded server.',
  ).refine(({ address, port }) => address === undefined || port === undefined, {
    path: ['port'],
    error: 'expected no port beside address: it is that of the embedded server',
  });
}

type TemporalInput = z.output<ReturnType<typeof temporal>>;
/** Files are absolute, the key is a reference to a secret. */
type TemporalTls = z.output<ReturnType<typeof tlsSchema>>;

export type TemporalSettings = ReturnType<typeof temporalSettings>;

const defaultNamespace = 'default';

/** Temporal's own variables (`TEMPORAL_ADDRESS`, …) win over the file, as they do for Temporal's command. */
export function temporalSettings(input: TemporalInput, env: Environment, directory: string) {
  const address = env.TEMPORAL_ADDRESS || input.address;
  const namespace = env.TEMPORAL_NAMESPACE || input.namespace || defaultNamespace;
  const ui = input.ui !== undefined && { uiUrl: input.ui };
  if (address === undefined)
    return { kind: 'embedded' as const, namespace, ...ui, ...(input.port !== undefined && { port: input.port }) };
  const apiKey = env.TEMPORAL_API_KEY ? 'env:TEMPORAL_API_KEY' : input.apiKey;
  const tls = typeof input.tls === 'object' ? absoluteFiles(input.tls, directory) : (input.tls ?? apiKey !== undefined);
  return { kind: 'cluster' as const, address, namespace, tls, ...ui, ...(apiKey !== undefined && { apiKey }) };
}

function absoluteFiles({ ca, certificate, ...tls }: TemporalTls, directory: string): TemporalTls {
  return {
    ...tls,
    ...(ca !== undefined && { ca: resolve(directory, ca) }),
    ...(certificate !== undefined && { certificate: resolve(directory, certificate) }),
  };
}

/** What only makes sense for a cluster needs the address of one. */
export function temporalComplaints(input: TemporalInput, env: Environment): Complaint[] {
  if (env.TEMPORAL_ADDRESS || input.address !== undefined) return [];
  const unused = (['tls', 'apiKey'] as const)
    .filter((key) => input[key] !== undefined)
    .map((key) => ({ path: ['temporal', key], message: `expected address beside ${key}: the embedded server has no ${key}` }));
  const namespace = env.TEMPORAL_NAMESPACE || input.namespace || defaultNamespace;
  if (namespace === defaultNamespace) return unused;
  const beside = env.TEMPORAL_NAMESPACE ? 'TEMPORAL_ADDRESS beside TEMPORAL_NAMESPACE' : 'address beside namespace';
  const message = `expected ${beside} ${showValue(namespace)}: the embedded server has only the namespace ${defaultNamespace}`;
  return [...unused, { path: ['temporal', 'namespace'], message }];
}

/** What both `Connection.connect` and `NativeConnection.connect` of Temporal's SDK take. */
export interface TemporalConnectionOptions {
  readonly address: string;
  readonly tls?: boolean | TLSConfig;
  readonly apiKey?: string;
  /** For `Connection` only: the workers' connection knows no proxy but one that it is given. */
  readonly channelArgs?: Readonly<Record<string, number>>;
}

/** Of the embedded server: gRPC would send it through a proxy that `http_proxy` names, loopback or not. */
export function embeddedConnection(address: string): TemporalConnectionOptions {
  return { address, channelArgs: { 'grpc.enable_http_proxy': 0 } };
}

/** @throws Refusal `SecretMissing`, and the file system's errors for certificates */
export function connectionOptions(
  { address, tls, apiKey }: Extract<TemporalSettings, { kind: 'cluster' }>,
  resolveSecret: SecretResolver,
): TemporalConnectionOptions {
  return {
    address,
    ...(tls !== false && { tls: tls === true || tlsOptions(tls, resolveSecret) }),
    ...(apiKey !== undefined && { apiKey: resolveSecret(apiKey) }),
  };
}

function tlsOptions({ serverName, ca, certificate, key }: TemporalTls, resolveSecret: SecretResolver): TLSConfig {
  const pair = certificate !== undefined &&
    key !== undefined && { clientCertPair: { crt: readFileSync(certificate), key: Buffer.from(resolveSecret(key)) } };
  return {
    ...(serverName !== undefined && { serverNameOverride: serverName }),
    ...(ca !== undefined && { serverRootCACertificate: readFileSync(ca) }),
    ...pair,
  };
}
