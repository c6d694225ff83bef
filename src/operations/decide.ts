import type { Client } from '@temporalio/client';
import { abortUpdate, approveUpdate, rejectUpdate, renewUpdate, retryUpdate, skipUpdate } from '../contracts/messages.ts';
import { typedReason } from '../domain/person.ts';
import { type Decision, type DecisionVerb, isApprovalAsked, type RunState, shortRollout } from '../domain/rollout-state.ts';
import { NotFound, Refused } from './errors.ts';
import type { Actor, DecisionInput } from './inputs.ts';
import { withProof } from './proof.ts';
import { readRollout, rolloutRow } from './rollouts.ts';
import { answered } from './temporal-calls.ts';

const updates: Readonly<Record<DecisionVerb, { readonly name: string }>> = {
  approve: approveUpdate,
  retry: retryUpdate,
  renew: renewUpdate,
  skip: skipUpdate,
  reject: rejectUpdate,
  abort: abortUpdate,
};

/** Decisions are answered by a worker at once; this leaves it time to replay the rollout first. */
const decideWithinMs = 15_000;

/**
 * Tells a rollout what was decided. The rollout then goes on by itself: `readRollout` says how. An approval is for the digest and the head that
 * it names, as whoever approves has seen them; what it does not name is as it is now.
 * @param rollout the whole id, as `findRollout` gives it for `input.rollout`
 * @returns the digest that an approval is bound to
 * @throws Refused where the decision does not apply, or the rollout has ended; NotFound; Unreachable
 */
export async function decide(
  client: Client,
  rollout: string,
  input: Omit<DecisionInput, 'rollout'>,
  { name, tokenHash, login }: Actor,
): Promise<Pick<Decision, 'digest'>> {
  const { verb, step, stage, reason } = input;
  const { runId, ...bound } = await boundTo(client, rollout, input);
  const said = {
    ...(step !== undefined && { step }),
    ...(stage !== undefined && { stage }),
    ...(reason !== undefined && { reason }),
    ...bound,
    by: name,
    ...(login !== undefined && { login }),
  };
  try {
    await withProof(client, { verb, rollout, runId, tokenHash }, said, (decision) =>
      answered(client, decideWithinMs, () =>
        client.workflow.getHandle(rollout, runId).executeUpdate<RunState, [Decision]>(updates[verb].name, { args: [decision] }),
      ),
    );
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
    // NotFound where the rollout has never been.
    const ended = await rolloutRow(client, rollout);
    const why = ended.reason === undefined ? '' : ` (${typedReason(ended.reason)})`;
    throw new Refused(`${shortRollout(rollout)} has ended: ${ended.status}${why}`, { cause: error });
  }
  return bound.digest === undefined ? {} : { digest: bound.digest };
}

/** The very run that a decision is for, and what else it is bound to: an approval says which digest it approves, in which proposal. */
async function boundTo(
  client: Client,
  rollout: string,
  { verb, stage, ...seen }: Omit<DecisionInput, 'rollout'>,
): Promise<{ readonly runId: string } & Pick<Decision, 'digest' | 'head'>> {
  if (verb !== 'approve') {
    const { runId } = await answered(client, decideWithinMs, () => client.workflow.getHandle(rollout).describe());
    return { runId };
  }
  const { runId, state } = await readRollout(client, rollout);
  const { image, steps, proposals } = state;
  const waiting = stage ?? steps.find(isApprovalAsked)?.stage;
  const { digest = image.digest, head = waiting === undefined ? undefined : proposals[waiting]?.head } = seen;
  return { runId, ...(digest !== undefined && { digest }), ...(head !== undefined && { head }) };
}
