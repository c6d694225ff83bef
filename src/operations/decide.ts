import type { Client } from '@temporalio/client';
import { z } from 'zod';
import { abortUpdate, approveUpdate, rejectUpdate, retryUpdate, skipUpdate } from '../contracts/messages.ts';
import { typedReason } from '../domain/person.ts';
import { type Decision, type RolloutState, shortRollout } from '../domain/rollout-state.ts';
import { type Actor, signedBy } from './actor.ts';
import { answered } from './answered.ts';
import { NotFound, Refused } from './errors.ts';
import { reasonInput } from './input.ts';
import { readRollout } from './rollout.ts';
import { rolloutPrefix, rolloutRow } from './rollouts.ts';

const updates = {
  approve: approveUpdate,
  retry: retryUpdate,
  skip: skipUpdate,
  reject: rejectUpdate,
  abort: abortUpdate,
} as const;
export type DecisionVerb = keyof typeof updates;

/** What somebody decides about a rollout: its step, or its stage, where more than one waits. */
export const decisionInput = z
  .object({
    verb: z.enum(['approve', 'retry', 'skip', 'reject', 'abort']),
    rollout: rolloutPrefix,
    step: z.string().optional(),
    stage: z.string().optional(),
    reason: reasonInput,
  })
  .refine(({ verb, reason }) => verb !== 'skip' || reason !== undefined, {
    error: 'a skip is a waiver and needs a reason: landfall skip ROLLOUT STEP --reason TEXT',
  });
export type DecisionInput = z.output<typeof decisionInput>;

/** Decisions are answered by a worker at once; this leaves it time to replay the rollout first. */
const decideWithinMs = 15_000;

/**
 * Tells a rollout what was decided. The rollout then goes on by itself: `readRollout` says how.
 * @param rollout the whole id, as `findRollout` gives it for `input.rollout`
 * @returns the digest that an approval is bound to
 * @throws Refused where the decision does not apply, or the rollout has ended; NotFound; Unreachable
 */
export async function decide(
  client: Client,
  rollout: string,
  { verb, step, stage, reason }: Omit<DecisionInput, 'rollout'>,
  actor: Actor,
): Promise<{ readonly digest?: string }> {
  const { at, bound } = await aboutRun(client, rollout, verb, stage);
  const decision: Decision = {
    ...(step !== undefined && { step }),
    ...(stage !== undefined && { stage }),
    ...(reason !== undefined && { reason }),
    ...bound,
  };
  await send(client, at, verb, await signedBy(actor, verb, at, decision));
  return bound.digest === undefined ? {} : { digest: bound.digest };
}

interface RunAt {
  readonly rollout: string;
  readonly runId: string;
}

/** The very run that a decision is for, and what else it is bound to: an approval says which digest it approves, in which proposal. */
async function aboutRun(
  client: Client,
  rollout: string,
  verb: DecisionVerb,
  stage: string | undefined,
): Promise<{ readonly at: RunAt; readonly bound: Pick<Decision, 'digest' | 'head'> }> {
  if (verb !== 'approve') {
    const { runId } = await answered(client, decideWithinMs, () => client.workflow.getHandle(rollout).describe());
    return { at: { rollout, runId }, bound: {} };
  }
  const { runId, state } = await readRollout(client, rollout);
  const head = headToApprove(state, stage);
  return { at: { rollout, runId }, bound: { digest: state.image.digest, ...(head !== undefined && { head }) } };
}

/** Of the stage that is named, or of the one that waits for its approval. */
function headToApprove({ steps, proposals }: RolloutState, stage: string | undefined): string | undefined {
  const waiting = stage ?? steps.find(({ step, status }) => step === 'approve' && status === 'waiting')?.stage;
  return waiting === undefined ? undefined : proposals[waiting]?.head;
}

async function send(client: Client, { rollout, runId }: RunAt, verb: DecisionVerb, decision: Decision): Promise<void> {
  const handle = client.workflow.getHandle(rollout, runId);
  try {
    await answered(client, decideWithinMs, () =>
      handle.executeUpdate<RolloutState, [Decision]>(updates[verb].name, { args: [decision] }),
    );
  } catch (error) {
    if (error instanceof NotFound) throw await endOf(client, rollout, error);
    throw error;
  }
}

/** @throws NotFound where the rollout has never been */
async function endOf(client: Client, rollout: string, cause: unknown): Promise<Refused> {
  const { status, reason } = await rolloutRow(client, rollout);
  const why = reason === undefined ? '' : ` (${typedReason(reason)})`;
  return new Refused(`${shortRollout(rollout)} has ended: ${status}${why}`, { cause });
}
