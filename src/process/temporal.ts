import { setTimeout as pause } from 'node:timers/promises';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { Configuration } from '../config/configuration.ts';
import {
  clusterSealing,
  connectionOptions,
  embeddedConnection,
  type TemporalConnectionOptions,
  type TemporalSettings,
} from '../config/temporal.ts';
import type { Sealing } from '../contracts/seal.ts';
import { searchAttributes } from '../contracts/start-options.ts';
import type { Environment } from '../domain/environment.ts';
import { startEmbeddedTemporal } from '../platform/temporal/embedded.ts';
import { describeProblem, missingSearchAttributes, searchAttributeCommand } from '../platform/temporal/namespace.ts';
import { findTool } from '../platform/tools.mjs';
import type { Logging } from './logging.ts';
import { keyOf } from './sealing.ts';

/** The Temporal that this process works with: its own embedded server, or somebody's cluster. */
export type Temporal = Awaited<ReturnType<typeof connect>> & {
  /** Where people look at it; absent for a cluster where the configuration does not say. */
  readonly uiUrl?: string;
};

type ClientInterceptors = readonly WorkflowClientInterceptor[];

const wanted = Object.values(searchAttributes);
const restartWithinMs = 60_000;

/**
 * @param meanwhile what can be done while a server of our own starts
 * @param interceptors of the client, before what seals
 * @throws if Temporal does not answer, or there is no key, with what to do
 */
export async function reachTemporal(
  { temporal, data }: Configuration,
  { log, secrets }: Pick<Logging, 'log' | 'secrets'>,
  env: Environment,
  meanwhile?: () => Promise<unknown>,
  interceptors: ClientInterceptors = [],
): Promise<Temporal> {
  if (temporal.kind === 'embedded')
    return await embed(temporal, data, env, { log, interceptors, ...(meanwhile && { meanwhile }) });
  const sealing = clusterSealing(temporal, secrets);
  const reached = await connect(connectionOptions(temporal, secrets), temporal.namespace, sealing, interceptors);
  await refuseIncomplete(reached);
  return { ...reached, ...(temporal.uiUrl !== undefined && { uiUrl: temporal.uiUrl }) };
}

type Embedded = Extract<TemporalSettings, { kind: 'embedded' }>;

async function embed(
  { port, uiUrl }: Embedded,
  folder: string,
  env: Environment,
  {
    interceptors,
    ...options
  }: { readonly log: Logger; readonly meanwhile?: () => Promise<unknown>; readonly interceptors: ClientInterceptors },
): Promise<Temporal> {
  const command = findTool('temporal', env);
  if (command === undefined) {
    throw new Error(
      'the temporal command is not here: install it (https://docs.temporal.io/cli, or `node scripts/setup.mjs`), name it in TEMPORAL_CLI, ' +
        'or use a Temporal cluster by setting temporal.address in landfall.yaml or TEMPORAL_ADDRESS',
    );
  }
  // Before the server makes its database: by that it is known whether an earlier Landfall was here.
  const sealing = await keyOf(folder);
  const uiNames = uiUrl === undefined ? [] : [new URL(uiUrl).hostname];
  const ports = port && { port };
  const server = await startEmbeddedTemporal({ ...options, folder, command, ...ports, uiNames, searchAttributes: wanted });

  const connection = embeddedConnection(server.address);
  const reached = await connect(connection, server.namespace, sealing, interceptors).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  return {
    ...reached,
    connectWorkers: () => connectThroughRestart(connection),
    uiUrl: uiUrl ?? server.uiUrl,
    stop: async () => {
      await reached.stop();
      await server.stop();
    },
  };
}

/** Our own server may die while we start: it is started again, and the workers' first connection, which waits for nothing, with it. */
async function connectThroughRestart(options: TemporalConnectionOptions): Promise<NativeConnection> {
  const giveUpAt = Date.now() + restartWithinMs;
  for (;;) {
    try {
      return await connectNatively(options);
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await pause(200);
    }
  }
}

async function connect(
  options: TemporalConnectionOptions,
  namespace: string,
  sealing: Sealing,
  interceptors: ClientInterceptors,
) {
  const { address } = options;
  const { Connection } = await import('../platform/temporal/connection.ts');
  const { sealedClient } = await import('../contracts/sealed-client.ts');
  const connection = await Connection.connect({ ...options, connectTimeout: '10s' }).catch((cause: unknown) => {
    throw new Error(`Temporal at ${address} does not answer: check temporal.address, TLS and the network`, { cause });
  });
  return {
    address,
    namespace,
    client: sealedClient({ connection, namespace, sealing, interceptors }),
    /** For workers, as the client has it. */
    sealing,
    /** A connection for workers. */
    connectWorkers: () => connectNatively(options),
    /** What the namespace lacks of the columns that every rollout is started with. */
    missingAttributes: () => missingSearchAttributes(connection, namespace, wanted),
    /** Closes the client, and stops the server if it is our own. Called last. */
    stop: () => connection.close(),
  };
}

/** The libraries of Temporal are loaded while a server of our own starts. */
async function connectNatively(options: TemporalConnectionOptions): Promise<NativeConnection> {
  const { NativeConnection: Native } = await import('@temporalio/worker');
  return await Native.connect(options);
}

/** On somebody else's cluster nothing is changed: what is missing is said, with the command that adds it. */
async function refuseIncomplete({ address, namespace, missingAttributes }: Temporal): Promise<void> {
  const problems = await missingAttributes();
  if (problems.length === 0) return;
  throw new Error(
    `namespace ${namespace} at ${address} lacks search attributes that Landfall lists rollouts by: ${problems.map(describeProblem).join('; ')}. ` +
      `Add them: ${searchAttributeCommand(problems, { address, namespace }) ?? 'their types differ, which only a new namespace mends'}\n` +
      "On Temporal Cloud they are added in its UI, or by 'tcld namespace search-attributes add'.",
  );
}
