import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection, isGrpcCancelledError, isGrpcDeadlineError, ServiceError } from '@temporalio/client';
import { z } from 'zod';
import { loadTemporalSettings } from '../config/load.ts';
import { connectionOptions, embeddedConnection, type TemporalConnectionOptions } from '../config/temporal.ts';
import { createSecretResolver } from '../settings/secrets.ts';
import { problemLines } from './configuration.ts';
import { CommandFailure } from './failure.ts';
import type { Surroundings } from './terminal.ts';

/** How long Temporal may take to answer before the command gives up. */
const answerWithinMs = 5_000;

export interface TemporalPlace extends TemporalConnectionOptions {
  readonly namespace: string;
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
 * @throws CommandFailure, and Refusal `SecretMissing` for the cluster's API key
 */
export function temporalPlace(file: string, { env }: Pick<Surroundings, 'env'>): TemporalPlace {
  const loaded = loadTemporalSettings(file, env);
  if ('problems' in loaded) throw new CommandFailure(problemLines(loaded.problems).join('\n'));
  const { temporal, directory, data } = loaded;
  if (temporal.kind === 'cluster') {
    const from = env.TEMPORAL_ADDRESS ? 'TEMPORAL_ADDRESS' : `temporal.address in ${file}`;
    return { ...connectionOptions(temporal, createSecretResolver(env, directory)), namespace: temporal.namespace, from };
  }
  const stateFile = join(data, 'temporal.json');
  const running = readRunningServer(stateFile);
  if (running !== undefined) {
    const { namespace, mark, address } = running;
    return { ...embeddedConnection(address), namespace, mark, from: stateFile };
  }
  throw new CommandFailure(
    `Landfall does not run from ${data}: start it (npm start), or say where Temporal is: TEMPORAL_ADDRESS=HOST:PORT`,
  );
}

function readRunningServer(stateFile: string): z.output<typeof runningServer> | undefined {
  let text: string;
  try {
    text = readFileSync(stateFile, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return runningServer.parse(JSON.parse(text));
  } catch (error) {
    throw new CommandFailure(`expected {address, namespace, mark} in ${stateFile}: remove the file and start Landfall again`, 1, {
      cause: error,
    });
  }
}

/** Connects, does the work, disconnects. */
export async function withClient<Result>(place: TemporalPlace, work: (client: Client) => Promise<Result>): Promise<Result> {
  const { namespace, from, mark, ...options } = place;
  const connection = await connect(options, place);
  try {
    if (mark !== undefined) await requireMark(connection, mark, place);
    return await work(new Client({ connection, namespace }));
  } finally {
    await connection.close();
  }
}

async function connect(options: TemporalConnectionOptions, { address, from }: TemporalPlace): Promise<Connection> {
  try {
    return await Connection.connect({ ...options, connectTimeout: answerWithinMs });
  } catch (error) {
    throw new CommandFailure(
      `Temporal at ${address} (${from}) did not answer within ${answerWithinMs / 1000} s. ` +
        'Start Landfall (npm start), or say where Temporal is: TEMPORAL_ADDRESS=HOST:PORT, or temporal.address in landfall.yaml',
      1,
      { cause: error },
    );
  }
}

/** A Landfall that was killed leaves its address behind, where by now another's server may answer, to whom nothing may be said. */
async function requireMark(connection: Connection, mark: string, { address, from }: TemporalPlace): Promise<void> {
  try {
    await connection.withDeadline(Date.now() + answerWithinMs, () =>
      connection.workflowService.describeNamespace({ namespace: mark }),
    );
  } catch (error) {
    throw new CommandFailure(
      `expected the Temporal server of ${from} at ${address}, found another one there, or one that does not answer: ` +
        'start Landfall of that data folder (npm start)',
      1,
      { cause: error },
    );
  }
}

/** A call that must be answered in time; what to say when it is not. */
export async function answeredInTime<Result>(client: Client, withinMs: number, call: () => Promise<Result>): Promise<Result> {
  return await client.connection.withDeadline(Date.now() + withinMs, call);
}

/** Whether a call failed because its answer did not come in time. A deadline in the midst of a long poll ends the call as cancelled. */
export function isUnanswered(error: unknown): boolean {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcDeadlineError(cause) || isGrpcCancelledError(cause);
}
