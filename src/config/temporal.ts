import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TLSConfig } from '@temporalio/client';
import { z } from 'zod';
import type { Environment } from '../domain/environment.ts';
import type { Complaint } from '../settings/problem.ts';
import { parsed, port, type SecretCheck, secret, text, url } from '../settings/scalars.ts';
import { missingKey, readKeys } from '../settings/seal-key.ts';
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

const momentPattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z$/;
const moment = parsed('a time such as 2026-12-01T12:00:00Z, in UTC', momentPattern, (value) => {
  const date = new Date(value);
  return momentPattern.test(value) && !Number.isNaN(date.getTime()) ? date : undefined;
});

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
      key: optional(
        secret(check),
        "Landfall's own key, the same in every process and command: workers believe only what it sealed. Default: LANDFALL_KEY of the environment. Several, with spaces between them: the first one seals.",
      ),
      sealedSince: optional(
        moment,
        'When Landfall was started with its first key (0.1 had none), or with a new one in place of a lost one: what Temporal has from before is believed.',
      ),
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
/** Where the embedded server keeps its state, relative to the file. */
export const defaultData = 'data';

/** Temporal's own variables (`TEMPORAL_ADDRESS`, …) win over the file, as they do for Temporal's command. */
export function temporalSettings(input: TemporalInput, env: Environment, directory: string) {
  const address = env.TEMPORAL_ADDRESS || input.address;
  const namespace = env.TEMPORAL_NAMESPACE || input.namespace || defaultNamespace;
  const ui = input.ui !== undefined && { uiUrl: input.ui };
  if (address === undefined)
    return { kind: 'embedded' as const, namespace, ...ui, ...(input.port !== undefined && { port: input.port }) };
  const apiKey = env.TEMPORAL_API_KEY ? 'env:TEMPORAL_API_KEY' : input.apiKey;
  const tls = typeof input.tls === 'object' ? absoluteFiles(input.tls, directory) : (input.tls ?? apiKey !== undefined);
  const key = env.LANDFALL_KEY ? 'env:LANDFALL_KEY' : input.key;
  const { sealedSince } = input;
  return {
    ...{ kind: 'cluster' as const, address, namespace, tls, ...ui },
    ...(apiKey !== undefined && { apiKey }),
    ...(key !== undefined && { key }),
    ...(sealedSince !== undefined && { sealedSince }),
  };
}

function absoluteFiles({ ca, certificate, ...tls }: TemporalTls, directory: string): TemporalTls {
  return {
    ...tls,
    ...(ca !== undefined && { ca: resolve(directory, ca) }),
    ...(certificate !== undefined && { certificate: resolve(directory, certificate) }),
  };
}

const withoutAddress = {
  tls: 'the embedded server has no tls',
  apiKey: 'the embedded server has no apiKey',
  key: 'for the embedded server Landfall makes one itself, in the data folder',
  sealedSince: 'for the embedded server Landfall knows it itself',
} as const;

/** What only makes sense for a cluster needs the address of one. */
export function temporalComplaints(input: TemporalInput, env: Environment): Complaint[] {
  if (env.TEMPORAL_ADDRESS || input.address !== undefined) return [];
  const unused = (['tls', 'apiKey', 'key', 'sealedSince'] as const)
    .filter((key) => input[key] !== undefined)
    .map((key) => ({ path: ['temporal', key], message: `expected address beside ${key}: ${withoutAddress[key]}` }));
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

/**
 * What seals everything that goes through a cluster.
 * @throws Refusal `SecretMissing` where there is no key, or a short one; Error where `sealedSince` is yet to come
 */
export function clusterSealing(
  { key, sealedSince }: Pick<Extract<TemporalSettings, { kind: 'cluster' }>, 'key' | 'sealedSince'>,
  resolveSecret: SecretResolver,
): { readonly keys: readonly [string, ...string[]]; readonly since?: Date } {
  if (key === undefined)
    throw missingKey('as temporal.key (env:NAME or file:PATH) or in LANDFALL_KEY of the environment, found neither');
  const keys = readKeys(resolveSecret(key), key);
  if (sealedSince === undefined) return { keys };
  if (sealedSince.getTime() <= Date.now()) return { keys, since: sealedSince };
  throw new Error(`temporal.sealedSince: expected a time that has come, found ${sealedSince.toISOString()}`);
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
