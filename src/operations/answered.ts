import {
  type Client,
  isGrpcServiceError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { NotFound, Refused, Unreachable } from './errors.ts';
import { causeOf, inTime, isUnanswered } from './in-time.ts';

/** How long a worker may take to answer: it may have to replay the workflow first. */
export const answerWithinMs = 10_000;

/**
 * A call of Temporal for an operator.
 * @throws Unreachable, Refused and NotFound for what Temporal and the workflow answer; what is none of them stays as it is
 */
export async function answered<Result>(client: Client, withinMs: number, call: () => Promise<Result>): Promise<Result> {
  try {
    return await inTime(client, withinMs, call);
  } catch (error) {
    throw meaningOf(error);
  }
}

function meaningOf(error: unknown): unknown {
  const options = { cause: error };
  if (error instanceof WorkflowUpdateFailedError)
    return new Refused(`refused: ${error.cause?.message ?? error.message}`, options);
  if (error instanceof WorkflowNotFoundError)
    return new NotFound('there is no such rollout: landfall list shows what there is', options);
  if (error instanceof WorkflowFailedError)
    return new Refused(`${error.message}: ${error.cause?.message ?? 'Temporal does not say why'}`, options);
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isUnanswered(error)) {
    return new Unreachable(
      'Temporal has it, but no worker answered in time: start Landfall (npm start), then ask again',
      options,
    );
  }
  const cause = causeOf(error);
  if (isGrpcServiceError(cause)) return new Unreachable(`Temporal says: ${cause.details || cause.message}`, options);
  return error;
}
