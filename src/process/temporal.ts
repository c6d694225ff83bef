import { setTimeout as pause } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { Configuration } from '../config/configuration.ts';
import { connectionOptions, embeddedConnection, type TemporalConnectionOptions } from '../config/temporal.ts';
import { searchAttributes } from '../contracts/start-options.ts';
import type { Environment } from '../domain/environment.ts';
import { startEmbeddedTemporal } from '../platform/temporal/embedded.ts';
import {
  type AttributeProblem,
  describeProblem,
  missingSearchAttributes,
  searchAttributeCommand,
} from '../platform/temporal/namespace.ts';
import { findTool } from '../platform/tools.mjs';
import type { Logging } from './logging.ts';

/** The Temporal that this process works with: its own embedded server, or somebody's cluster. */
export interface Temporal {
  readonly address: string;
  readonly namespace: string;
  /** Where people look at it; absent for a cluster where the configuration does not say. */
  readonly uiUrl?: string;
  readonly client: Client;
  /** A connection for workers. */
  connectWorkers(): Promise<NativeConnection>;
  /** Closes the client, and stops the server if it is our own. Called last. */
  stop(): Promise<void>;
}

const wanted = Object.values(searchAttributes);
const restartWithinMs = 60_000;

/** @throws if Temporal does not answer, with what to do */
export async function reachTemporal(
  configuration: Configuration,
  { log, secrets }: Pick<Logging, 'log' | 'secrets'>,
  env: Environment,
): Promise<Temporal> {
  const { temporal } = configuration;
  if (temporal.kind === 'embedded') return await embed(configuration, env, log);
  const options = connectionOptions(temporal, secrets);
  const reached = await connect(options, temporal.namespace);
  await refuseIncomplete(reached);
  return { ...reached, ...(temporal.uiUrl !== undefined && { uiUrl: temporal.uiUrl }) };
}

async function embed(configuration: Configuration, env: Environment, log: Logger): Promise<Temporal> {
  const command = findTool('temporal', env);
  if (command === undefined) {
    throw new Error(
      'the temporal command is not here: install it (https://docs.temporal.io/cli, or `node scripts/setup.mjs`), name it in TEMPORAL_CLI, ' +
        'or use a Temporal cluster by setting temporal.address in landfall.yaml or TEMPORAL_ADDRESS',
    );
  }
  const { temporal, data } = configuration;
  const port = temporal.kind === 'embedded' && temporal.port !== undefined ? { port: temporal.port } : {};
  const server = await startEmbeddedTemporal({ folder: data, command, ...port, searchAttributes: wanted, log });
  const options = embeddedConnection(server.address);
  const reached = await connect(options, server.namespace).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  return {
    ...reached,
    connectWorkers: () => throughRestart(() => NativeConnection.connect(options)),
    uiUrl: temporal.uiUrl ?? server.uiUrl,
    stop: async () => {
      await reached.stop();
      await server.stop();
    },
  };
}

/** Our own server may die while we start: it is started again, and the workers' first connection, which waits for nothing, with it. */
async function throughRestart<Result>(connectOnce: () => Promise<Result>): Promise<Result> {
  const giveUpAt = Date.now() + restartWithinMs;
  for (;;) {
    try {
      return await connectOnce();
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await pause(200);
    }
  }
}

async function connect(options: TemporalConnectionOptions, namespace: string): Promise<Temporal> {
  const connection = await Connection.connect({ ...options, connectTimeout: '10s' }).catch((error: unknown) => {
    throw new Error(`Temporal at ${options.address} does not answer: check temporal.address, TLS and the network`, {
      cause: error,
    });
  });
  return {
    address: options.address,
    namespace,
    client: new Client({ connection, namespace }),
    connectWorkers: () => NativeConnection.connect(options),
    stop: () => connection.close(),
  };
}

/** The page of a workflow. */
export function linkTo({ uiUrl = '', namespace }: Pick<Temporal, 'uiUrl' | 'namespace'>, workflow: string): string {
  return `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(workflow)}`;
}

/** On somebody else's cluster nothing is changed: what is missing is said, with the command that adds it. */
async function refuseIncomplete({ client, address, namespace }: Temporal): Promise<void> {
  const problems = await missingAttributes({ client, namespace });
  if (problems.length === 0) return;
  throw new Error(
    `namespace ${namespace} at ${address} lacks search attributes that Landfall lists rollouts by: ${problems.map(describeProblem).join('; ')}. ` +
      `Add them: ${searchAttributeCommand(problems, { address, namespace }) ?? 'their types differ, which only a new namespace mends'}\n` +
      "On Temporal Cloud they are added in its UI, or by 'tcld namespace search-attributes add'.",
  );
}

/** What the namespace lacks of the columns that every rollout is started with. */
export async function missingAttributes({
  client,
  namespace,
}: Pick<Temporal, 'client' | 'namespace'>): Promise<AttributeProblem[]> {
  const { connection } = client;
  return connection instanceof Connection ? await missingSearchAttributes(connection, namespace, wanted) : [];
}
