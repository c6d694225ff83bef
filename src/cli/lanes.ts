import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { type GlobalHoldState, globalHoldQuery, laneQuery } from '../contracts/messages.ts';
import { globalHoldId, laneId } from '../contracts/start-options.ts';
import type { Digest } from '../domain/image-reference.ts';
import { digestOf, knownDigests } from '../domain/lane/known-digests.ts';
import { DecisionRefused } from '../domain/lane/refused.ts';
import type { LaneState } from '../domain/lane/state.ts';
import { namePattern } from '../settings/scalars.ts';
import { answeredInTime, isUnanswered } from './connection.ts';
import { CommandFailure, exitCodes, UsageFailure } from './failure.ts';
import { noWorker } from './service-errors.ts';

/** Long enough for a worker that has to replay the lane first. */
export const answerWithinMs = 10_000;

/** @throws UsageFailure */
export function parseService(text: string): string {
  if (namePattern.test(text)) return text;
  throw new UsageFailure(`expected the name of a service, found '${text}'`);
}

/** What a service's lane knows; undefined where nothing of the service was ever rolled out. */
export async function readLane(client: Client, service: string): Promise<LaneState | undefined> {
  return await ask(client, laneId(service), (handle) => handle.query(laneQuery));
}

/** Whether the line is stopped; the workflow is there only once somebody has stopped it. */
export async function readLine(client: Client): Promise<GlobalHoldState> {
  return (await ask(client, globalHoldId, (handle) => handle.query(globalHoldQuery))) ?? {};
}

type Handle = ReturnType<Client['workflow']['getHandle']>;

async function ask<Answer>(
  client: Client,
  workflowId: string,
  question: (handle: Handle) => Promise<Answer>,
): Promise<Answer | undefined> {
  const handle = client.workflow.getHandle(workflowId);
  try {
    // One that was terminated would still answer, with what it knew then.
    const { status } = await answeredInTime(client, answerWithinMs, () => handle.describe());
    if (status.name !== 'RUNNING') return undefined;
    return await answeredInTime(client, answerWithinMs, () => question(handle));
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    if (isUnanswered(error)) throw new CommandFailure(noWorker, 1, { cause: error });
    throw error;
  }
}

export function noLane(service: string): CommandFailure {
  return new CommandFailure(
    `nothing of a service '${service}' has been rolled out yet: landfall list shows what has; landfall trigger IMAGE rolls an image out`,
  );
}

/**
 * A digest as people type it: whole, or its beginning (with or without `sha256:`), completed from what the lane knows.
 * @throws CommandFailure where the lane knows none, or several; the message lists them
 */
export function completeDigest(text: string, lane: LaneState | undefined): Digest {
  const typed = text.trim().toLowerCase();
  const whole = /^[0-9a-f]{64}$/.test(typed) ? `sha256:${typed}` : typed;
  try {
    return digestOf(whole, lane === undefined ? new Map() : knownDigests(lane), 'anything');
  } catch (error) {
    if (error instanceof DecisionRefused) throw new CommandFailure(error.message, exitCodes.refused, { cause: error });
    throw error;
  }
}
