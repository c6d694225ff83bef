import type { Client } from '@temporalio/client';
import { type GlobalHoldState, globalHoldQuery, laneQuery } from '../contracts/messages.ts';
import { globalHoldId, laneId } from '../contracts/start-options.ts';
import type { Digest } from '../domain/image-reference.ts';
import { DecisionRefused, digestOf, knownDigests } from '../domain/lane/decisions.ts';
import type { LaneState } from '../domain/lane/state.ts';
import { answered, answerWithinMs } from './answered.ts';
import { NotFound, Refused } from './errors.ts';

/** What a service's lane knows; undefined where nothing of the service was ever rolled out. */
export async function readLane(client: Client, service: string): Promise<LaneState | undefined> {
  return await ask(client, laneId(service), (handle) => handle.query(laneQuery));
}

/**
 * What each stage of a service runs, what keeps it so, and whether all services are held.
 * @throws NotFound where nothing of it was ever rolled out; Unreachable
 */
export async function showLane(
  client: Client,
  service: string,
): Promise<{ readonly lane: LaneState; readonly globalHold: GlobalHoldState }> {
  const [lane, globalHold] = await Promise.all([
    readLane(client, service),
    // The workflow is there only once somebody has held everything.
    ask(client, globalHoldId, (handle) => handle.query(globalHoldQuery)),
  ]);
  if (lane === undefined) throw noLane(service);
  return { lane, globalHold: globalHold ?? {} };
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
    const { status } = await answered(client, answerWithinMs, () => handle.describe());
    if (status.name !== 'RUNNING') return undefined;
    return await answered(client, answerWithinMs, () => question(handle));
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}

export function noLane(service: string): NotFound {
  return new NotFound(
    `nothing of a service '${service}' has been rolled out yet: landfall list shows what has; landfall trigger IMAGE rolls an image out`,
  );
}

/**
 * A digest as people type it: whole, or its beginning (with or without `sha256:`), completed from what the lane knows.
 * @throws Refused where the lane knows none, or several; the message lists them
 */
export function completeDigest(text: string, lane: LaneState | undefined): Digest {
  const typed = text.trim().toLowerCase();
  const whole = /^[0-9a-f]{64}$/.test(typed) ? `sha256:${typed}` : typed;
  try {
    return digestOf(whole, lane === undefined ? new Map() : knownDigests(lane), 'anything');
  } catch (error) {
    if (error instanceof DecisionRefused) throw new Refused(error.message, { cause: error });
    throw error;
  }
}
