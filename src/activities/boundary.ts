import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { RateLimit, Refusal } from '../domain/failures.ts';
import type { RateLimited } from '../domain/outcomes.ts';
import type { SmokeRun } from '../platform/docker/labels.ts';

/** The interval between heartbeats, as a part of the heartbeat time-out: two may be lost. */
const heartbeatPart = 0.3;
/** If no heartbeat time-out is set. */
const defaultTimeoutMs = 10_000;

/** The heartbeat of one attempt of an activity, with details that survive it. */
export interface Heartbeat {
  /** The details that the previous attempt recorded; undefined at the first attempt. */
  readonly previous: unknown;
  /** Sent with every heartbeat from now on, so that the next attempt finds it: small, and JSON-safe. */
  record(details: unknown): void;
}

/**
 * How an activity meets Temporal. It sends heartbeats while the step runs, so that Temporal notices a killed worker within seconds. A
 * `Refusal` becomes a non-retryable failure of the same type, a `RateLimit` becomes an outcome, and any other error stays as it is:
 * something broken, which Temporal retries.
 */
export function answering<Input, Outcome>(
  step: (input: Input, heartbeat: Heartbeat) => Promise<Outcome>,
): (input: Input) => Promise<Outcome | RateLimited> {
  return async (input) => {
    const context = Context.current();
    const previous: unknown = context.info.heartbeatDetails;
    // A heartbeat without details would make Temporal forget the last ones.
    let details = previous;
    const send = () => (details === undefined ? context.heartbeat() : context.heartbeat(details));
    const timer = setInterval(send, heartbeatPart * (context.info.heartbeatTimeoutMs ?? defaultTimeoutMs));
    const record = (recorded: unknown) => {
      details = recorded;
      send();
    };
    try {
      return await step(input, { previous, record });
    } catch (error) {
      if (error instanceof RateLimit) return { kind: 'rate-limited', until: error.until.toISOString() };
      if (!(error instanceof Refusal)) throw error;
      const { type, message } = error;
      throw ApplicationFailure.create({ type, message, nonRetryable: true, details: [...error.details], cause: error });
    } finally {
      clearInterval(timer);
    }
  };
}

/**
 * Leaves a piece of work at once when the activity is cancelled. Only for work that may be left at any point, such as reading.
 * @throws CancelledFailure, or what the work throws
 */
export async function leaveWhenCancelled<Result>(work: () => Promise<Result>): Promise<Result> {
  return await Promise.race([work(), Context.current().cancelled]);
}

/**
 * Once the activity is cancelled, work ends as cancelled, whatever error the cancellation caused in it.
 * @param what for the message: `the deploy`
 */
export async function orCancelled<Result>(what: string, work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const { cancellationSignal: signal } = Context.current();
  try {
    return await work(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CancelledFailure(`${what} was cancelled`, [], error instanceof Error ? error : new Error(String(error)));
  }
}

/** What Temporal answers about a workflow, or undefined where it knows no such workflow. */
export async function ifKnown<Answer>(asked: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** For which workflow the activity works, and whose containers and networks it starts. @throws Error outside of a workflow */
export function currentRun(): SmokeRun {
  const { info } = Context.current();
  if (info.workflowExecution === undefined)
    throw new Error(`${info.activityType} is an activity of a rollout, and is not started by itself`);
  const { workflowId, runId } = info.workflowExecution;
  return { rollout: workflowId, run: runId, activity: info.activityId, attempt: info.attempt };
}
