import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, Connection } from '@temporalio/client';
import { z } from 'zod';
import type { Configuration } from '../config/configuration.ts';
import { dropInOf, type Kinds } from '../config/kinds.ts';
import type { LoadOptions } from '../config/load.ts';
import { loadTemporalSettings } from '../config/load-temporal.ts';
import { clusterSealing, connectionOptions, embeddedConnection, type TemporalConnectionOptions } from '../config/temporal.ts';
import type { Sealing } from '../contracts/seal.ts';
import { sealedClient } from '../contracts/sealed-client.ts';
import type { Environment } from '../domain/environment.ts';
import { codeOf } from '../domain/errors.ts';
import { Refusal } from '../domain/failures.ts';
import { keyFile, readKeyFile } from '../settings/seal-key.ts';
import { createSecretResolver } from '../settings/secrets.ts';
import { InvalidConfiguration, Refused, Unreachable } from './errors.ts';

/**
 * The configuration, as far as operators need it: the service's own secrets are no business of theirs, so they need not exist here.
 * @throws InvalidConfiguration
 */
export async function readConfiguration(
  file: string,
  { env, loadKinds }: { readonly env: Environment; readonly loadKinds: () => Promise<Kinds> },
  options: Omit<LoadOptions, 'text'> = { secretsFor: [] },
): Promise<Configuration> {
  // It takes long to load, and who asks for rollouts needs none of it.
  const [kinds, { loadConfiguration }] = await Promise.all([loadKinds(), import('../config/load.ts')]);
  const text = existsSync(file) ? undefined : dropInOf(kinds, env)?.text;
  const loaded = loadConfiguration(file, env, kinds, { ...options, text });
  if ('problems' in loaded) throw new InvalidConfiguration(loaded.problems);
  return loaded.configuration;
}

/** How long Temporal may take to answer a new connection. */
const answerWithinMs = 5_000;

export interface TemporalTarget extends TemporalConnectionOptions {
  readonly namespace: string;
  readonly sealing: Sealing;
  /** Where the address comes from, for people. */
  readonly from: string;
  /** A namespace that only the server of this data folder has; absent for a cluster. */
  readonly mark?: string;
}

/** What a running `npm start` leaves in its data folder. */
const runningServer = z.object({ address: z.string(), namespace: z.string(), mark: z.string() });

/**
 * TEMPORAL_ADDRESS, else the `temporal:` section, else the embedded server that runs from the data folder. Never Temporal's usual port by
 * itself: what answers there may be somebody else's.
 * @throws InvalidConfiguration, Unreachable where no Landfall runs, and Refused where the cluster's API key or Landfall's key is missing
 */
export function temporalTarget(file: string, env: Environment): TemporalTarget {
  const loaded = loadTemporalSettings(file, env);
  if ('problems' in loaded) throw new InvalidConfiguration(loaded.problems);
  const { temporal, directory, data } = loaded;
  if (temporal.kind === 'embedded') return runningTarget(data);
  const from = env.TEMPORAL_ADDRESS ? 'TEMPORAL_ADDRESS' : `temporal.address in ${file}`;
  const secrets = createSecretResolver(env, directory);
  return orRefused(() => {
    const sealing = clusterSealing(temporal, secrets);
    return { ...connectionOptions(temporal, secrets), namespace: temporal.namespace, sealing, from };
  });
}

/** Of the Landfall that runs from a data folder. */
function runningTarget(data: string): TemporalTarget {
  const stateFile = join(data, 'temporal.json');
  const text = readOwn(stateFile);
  if (text === undefined) {
    throw new Unreachable(
      `Landfall does not run from ${data}: start it (npm start), or say where Temporal is: TEMPORAL_ADDRESS=HOST:PORT`,
    );
  }
  const key = join(data, keyFile);
  const sealing = orRefused(() => readKeyFile(readOwn(key) ?? '', key));
  try {
    const { namespace, mark, address } = runningServer.parse(JSON.parse(text));
    return { ...embeddedConnection(address), namespace, sealing, mark, from: stateFile };
  } catch (error) {
    const message = `expected {address, namespace, mark} in ${stateFile}: remove the file and start Landfall again`;
    throw new Unreachable(message, { cause: error });
  }
}

/** Undefined if there is none. @throws Refused where this user may not read it */
function readOwn(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code !== 'EACCES') throw error;
    throw new Refused(`${path} is for the user alone that Landfall runs as: run the command as that user`, { cause: error });
  }
}

/** What is missing of secrets is for the operator to mend. */
function orRefused<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    throw error instanceof Refusal ? new Refused(error.message, { cause: error }) : error;
  }
}

/** Connects to the Temporal that the file and the environment name, does the work, disconnects. */
export async function withClient<Result>(
  file: string,
  env: Environment,
  work: (client: Client, target: TemporalTarget) => Promise<Result>,
): Promise<Result> {
  const { client, target, close } = await openClient(file, env);
  try {
    return await work(client, target);
  } finally {
    await close();
  }
}

/** The same, until it is closed. */
export async function openClient(file: string, env: Environment): Promise<OpenClient> {
  const target = temporalTarget(file, env);
  const { namespace, sealing, from, mark, ...options } = target;
  const { address } = options;
  const connection = await Connection.connect({ ...options, connectTimeout: answerWithinMs }).catch((cause: unknown) => {
    throw new Unreachable(
      `Temporal at ${address} (${from}) did not answer within ${answerWithinMs / 1000} s. ` +
        'Start Landfall (npm start), or say where Temporal is: TEMPORAL_ADDRESS=HOST:PORT, or temporal.address in landfall.yaml',
      { cause },
    );
  });
  try {
    if (mark !== undefined) await requireMark(connection, mark, target);
    return { client: sealedClient({ connection, namespace, sealing }), target, close: () => connection.close() };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

interface OpenClient {
  readonly client: Client;
  readonly target: TemporalTarget;
  close(): Promise<void>;
}

/** A Landfall that was killed leaves its address behind, where by now another's server may answer, to whom nothing may be said. */
async function requireMark(connection: Connection, mark: string, { address, from }: TemporalTarget): Promise<void> {
  const deadline = Date.now() + answerWithinMs;
  try {
    await connection.withDeadline(deadline, () => connection.workflowService.describeNamespace({ namespace: mark }));
  } catch (cause) {
    throw new Unreachable(
      `expected the Temporal server of ${from} at ${address}, found another one there, or one that does not answer: ` +
        'start Landfall of that data folder (npm start)',
      { cause },
    );
  }
}
