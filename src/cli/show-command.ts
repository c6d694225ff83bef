import { type Client, isGrpcDeadlineError, QueryNotRegisteredError, ServiceError } from '@temporalio/client';
import type { RolloutState } from '../domain/rollout-state.ts';
import { stateQuery } from '../workflows/messages.ts';
import { answeredInTime, temporalPlace, withClient } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { describeRollout } from './rollout-text.ts';
import { findRollout, parsePrefix, statusOf } from './rollouts.ts';
import { noWorker } from './service-errors.ts';
import type { Surroundings } from './terminal.ts';

export interface ShowOptions {
  readonly config: string;
  readonly json?: boolean;
}

/** Long enough for a worker that has to replay the rollout first. */
const answerWithinMs = 10_000;

/** `landfall show ROLLOUT` */
export async function show(text: string, options: ShowOptions, surroundings: Surroundings): Promise<void> {
  const prefix = parsePrefix(text);
  const place = temporalPlace(options.config, surroundings);
  const shown = await withClient(place, async (client) => {
    const rollout = await findRollout(client, prefix);
    return { rollout, ...(await stateOf(client, rollout)) };
  });
  const { rollout, execution, state } = shown;
  if (options.json) return surroundings.print(JSON.stringify({ rollout, execution, ...state }, null, 2));
  for (const line of describeRollout(rollout, execution, state, surroundings)) surroundings.print(line);
}

/** A rollout that has ended left its state as its result; one that runs, or was ended from outside, is asked. */
async function stateOf(client: Client, rollout: string): Promise<{ execution: string; state: RolloutState }> {
  const handle = client.workflow.getHandle(rollout);
  const { status } = await answeredInTime(client, answerWithinMs, () => handle.describe());
  const execution = statusOf(status.name, status.name.toLowerCase());
  if (status.name === 'COMPLETED') {
    return { execution, state: (await answeredInTime(client, answerWithinMs, () => handle.result())) as RolloutState };
  }
  try {
    return { execution, state: await answeredInTime(client, answerWithinMs, () => handle.query(stateQuery)) };
  } catch (error) {
    if (error instanceof QueryNotRegisteredError) {
      throw new CommandFailure(`${rollout} has not told its state yet: ask again in a moment`, 1, { cause: error });
    }
    if (isGrpcDeadlineError(error instanceof ServiceError ? error.cause : error))
      throw new CommandFailure(noWorker, 1, { cause: error });
    throw error;
  }
}
