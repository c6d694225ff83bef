import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { z } from 'zod';
import { loadTemporalSettings } from '../config/load.ts';
import { connectionOptions, embeddedConnection, type TemporalConnectionOptions } from '../config/temporal.ts';
import type { Environment } from '../domain/environment.ts';
import { codeOf } from '../domain/errors.ts';
import { Refusal } from '../domain/failures.ts';
import { createSecretResolver } from '../settings/secrets.ts';
import { InvalidConfiguration, Refused, Unreachable } from './errors.ts';

/** How long Temporal may take to answer a new connection. */
const answerWithinMs = 5_000;

export interface TemporalTarget extends TemporalConnectionOptions {
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
 * @throws InvalidConfiguration, Unreachable where no Landfall runs, and Refused where the cluster's API key is missing
 */
export function temporalTarget(file: string, env: Environment): TemporalTarget {
  const loaded = loadTemporalSettings(file, env);
  if ('problems' in loaded) throw new InvalidConfiguration(loaded.problems);
  const { temporal, directory, data } = loaded;
  if (temporal.kind === 'cluster') {
    const from = env.TEMPORAL_ADDRESS ? 'TEMPORAL_ADDRESS' : `temporal.address in ${file}`;
    const secrets = createSecretResolver(env, directory);
    return { ...orRefused(() => connectionOptions(temporal, secrets)), namespace: temporal.namespace, from };
  }
  const stateFile = join(data, 'temporal.json');
  const running = readRunningServer(stateFile);
  if (running !== undefined) {
    const { namespace, mark, address } = running;
    return { ...embeddedConnection(address), namespace, mark, from: stateFile };
  }
  throw new Unreachable(
    `Landfall does not run from ${data}: start it (npm start), or say where Temporal is: TEMPORAL_ADDRESS=HOST:PORT`,
  );
}

/** What the secrets refuse is refused to the operator. */
function orRefused<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw error instanceof Refusal ? new Refused(error.message, { cause: error }) : error;
  }
}

function readRunningServer(stateFile: string): z.output<typeof runningServer> | undefined {
  let text: string;
  try {
    text = readFileSync(stateFile, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return runningServer.parse(JSON.parse(text));
  } catch (error) {
    throw new Unreachable(`expected {address, namespace, mark} in ${stateFile}: remove the file and start Landfall again`, {
      cause: error,
    });
  }
}

/** Connects, does the work, disconnects. */
export async function withClient<Result>(target: TemporalTarget, work: (client: Client) => Promise<Result>): Promise<Result> {
  const { namespace, from, mark, ...options } = target;
  const connection = await connect(options, target);
  try {
    if (mark !== undefined) await requireMark(connection, mark, target);
    return await work(new Client({ connection, namespace }));
  } finally {
    await connection.close();
  }
}

async function connect(options: TemporalConnectionOptions, { address, from }: TemporalTarget): Promise<Connection> {
  try {
    return await Connection.connect({ ...options, connectTimeout: answerWithinMs });
  } catch (error) {
    throw new Unreachable(
      `Temporal at ${address} (${from}) did not answer within ${answerWithinMs / 1000} s. ` +
        'Start Landfall (npm start), or say where Temporal is: TEMPORAL_ADDRESS=HOST:PORT, or temporal.address in landfall.yaml',
      { cause: error },
    );
  }
}

/** A Landfall that was killed leaves its address behind, where by now another's server may answer, to whom nothing may be said. */
async function requireMark(connection: Connection, mark: string, { address, from }: TemporalTarget): Promise<void> {
  try {
    await connection.withDeadline(Date.now() + answerWithinMs, () =>
      connection.workflowService.describeNamespace({ namespace: mark }),
    );
  } catch (error) {
    throw new Unreachable(
      `expected the Temporal server of ${from} at ${address}, found another one there, or one that does not answer: ` +
        'start Landfall of that data folder (npm start)',
      { cause: error },
    );
  }
}
