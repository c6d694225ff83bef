import {
  type Client,
  isGrpcCancelledError,
  isGrpcDeadlineError,
  isGrpcServiceError,
  ServiceError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { believed, NotSealed } from '../contracts/seal.ts';
import { NotFound, Refused, Unreachable } from './errors.ts';

/** The client's own default takes 20 s to fail; senders of webhooks give up after 10 (GitHub). */
export const defaultDeadlineMs = 5_000;
/** The client may sleep between two tries when the deadline passes. */
const graceMs = 500;

class DeadlinePassed extends Error {}

/** Calls of Temporal that must be answered together within so long. */
export async function inTime<Result>(client: Client, deadlineMs: number, work: () => Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const milliseconds = deadlineMs + graceMs;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DeadlinePassed(`no answer within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([client.withDeadline(Date.now() + deadlineMs, work), deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether a call failed because its answer did not come in time. A deadline in the midst of a long poll ends the call as cancelled. */
export function isUnanswered(error: unknown): boolean {
  const cause = causeOf(error);
  return cause instanceof DeadlinePassed || isGrpcDeadlineError(cause) || isGrpcCancelledError(cause);
}

/** Whether Temporal did not answer, or answered no. What is no answer of Temporal's is a defect of ours, and stays one. */
export function isTemporalFailure(error: unknown): boolean {
  return error instanceof ServiceError || error instanceof DeadlinePassed || isGrpcServiceError(error);
}

export function causeOf(error: unknown): unknown {
  return error instanceof ServiceError ? (error.cause ?? error) : error;
}

export function reasonOf(error: unknown): string {
  const cause = causeOf(error);
  if (isGrpcServiceError(cause)) return `${cause.code}: ${cause.details}`;
  return cause instanceof Error ? cause.message : String(cause);
}

/** How long a worker may take to answer: it may have to replay the workflow first. */
export const answerWithinMs = 10_000;

/**
 * A call of Temporal for an operator.
 * @throws Unreachable, Refused and NotFound for what Temporal and the workflow answer; what is none of them stays as it is
 */
export async function answered<Result>(
  client: Client,
  withinMs: number,
  call: () => Promise<Result>,
  late = 'Temporal has it, but no worker answered in time: start Landfall (npm start), then ask again',
): Promise<Result> {
  try {
    return believed('what Temporal answered', await inTime(client, withinMs, call));
  } catch (error) {
    const options = { cause: error };
    if (error instanceof NotSealed)
      throw new Refused(
        `${error.message}. Give this command the key of the service, and see that nothing else works in its namespace`,
        options,
      );
    if (error instanceof WorkflowUpdateFailedError)
      throw new Refused(`refused: ${error.cause?.message ?? error.message}`, options);
    if (error instanceof WorkflowNotFoundError)
      throw new NotFound('there is no such rollout: landfall list shows what there is', options);
    if (error instanceof WorkflowFailedError)
      throw new Refused(`${error.message}: ${error.cause?.message ?? 'Temporal does not say why'}`, options);
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || isUnanswered(error)) throw new Unreachable(late, options);
    const cause = causeOf(error);
    if (isGrpcServiceError(cause)) throw new Unreachable(`Temporal says: ${cause.details || cause.message}`, options);
    throw error;
  }
}

/**
 * What a list of Temporal has. It comes in pages, and each of them has to come in time: a list of 100,000 takes as long as it takes.
 * @throws the same; nobody's worker is needed for a list
 */
export async function* answeredEach<Item>(
  client: Client,
  withinMs: number,
  list: AsyncIterable<Item>,
): AsyncGenerator<Item, void> {
  const items = list[Symbol.asyncIterator]();
  const late = `Temporal did not give the next part of a list within ${withinMs / 1_000} s: ask again, or for fewer`;
  for (;;) {
    const next = await answered(client, withinMs, () => items.next(), late);
    if (next.done === true) return;
    yield next.value;
  }
}
