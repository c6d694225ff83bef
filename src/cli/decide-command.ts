import { type Client, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import type { Decision, RolloutState } from '../domain/rollout-state.ts';
import { abortUpdate, rejectUpdate, retryUpdate, skipUpdate } from '../workflows/messages.ts';
import { answeredInTime, temporalPlace, withClient } from './connection.ts';
import { CommandFailure, UsageFailure } from './failure.ts';
import { findRollout, parsePrefix, shortId } from './rollouts.ts';
import { noWorker } from './service-errors.ts';
import type { Surroundings } from './terminal.ts';

export type Verb = 'retry' | 'skip' | 'reject' | 'abort';
const nameOf: Readonly<Record<Verb, string>> = {
  retry: retryUpdate.name,
  skip: skipUpdate.name,
  reject: rejectUpdate.name,
  abort: abortUpdate.name,
};

export interface DecideOptions {
  readonly config: string;
  readonly stage?: string;
  readonly reason?: string;
  readonly json?: boolean;
}

/** Decisions are answered by a worker at once; this leaves it time to replay the rollout first. */
const answerWithinMs = 15_000;
const pastTense = { retry: 'retried', skip: 'skipped', reject: 'rejected', abort: 'being aborted' } as const;

/** `landfall retry|skip|reject ROLLOUT [STEP]` and `landfall abort ROLLOUT`. */
export async function decide(
  verb: Verb,
  { rollout: text, step }: { readonly rollout: string; readonly step?: string },
  options: DecideOptions,
  surroundings: Surroundings,
): Promise<void> {
  const prefix = parsePrefix(text);
  const reason = options.reason?.trim();
  if (verb === 'skip' && !reason) {
    throw new UsageFailure('a skip is a waiver and needs a reason: landfall skip ROLLOUT STEP --reason TEXT');
  }
  const decision: Decision = {
    ...(step === undefined ? {} : { step }),
    ...(options.stage === undefined ? {} : { stage: options.stage }),
    ...(reason ? { reason } : {}),
    by: surroundings.operator,
  };
  const { rollout, state } = await withClient(temporalPlace(options.config, surroundings), async (client) => {
    const found = await findRollout(client, prefix);
    return { rollout: found, state: await send(client, found, verb, decision) };
  });
  if (options.json) return surroundings.print(JSON.stringify({ rollout, ...state }, null, 2));
  surroundings.print(
    `${shortId(rollout)}: ${step === undefined ? '' : `${step} `}${pastTense[verb]} by ${surroundings.operator}`,
  );
}

async function send(client: Client, rollout: string, verb: Verb, decision: Decision): Promise<RolloutState> {
  const handle = client.workflow.getHandle(rollout);
  try {
    return await answeredInTime(client, answerWithinMs, () =>
      handle.executeUpdate<RolloutState, [Decision]>(nameOf[verb], { args: [decision] }),
    );
  } catch (error) {
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) throw new CommandFailure(noWorker, 1, { cause: error });
    throw error;
  }
}
