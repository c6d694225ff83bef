import type { Client } from '@temporalio/client';
import { decide } from '../operations/decide.ts';
import { Refused } from '../operations/errors.ts';
import { type Actor, decisionInput, globalHoldInput, laneCommandInput, parseInput } from '../operations/inputs.ts';
import { commandGlobalHold, commandLane, readLane } from '../operations/lane.ts';
import { readRollout } from '../operations/rollouts.ts';
import type { FormFields } from './request.ts';

/** What buttons do: the operations of the command, with what the person has seen. */

/** What the page says afterwards. */
export const doneTexts: Readonly<Record<string, string>> = {
  approve: 'Approved. The rollout goes on.',
  retry: 'It is tried again.',
  skip: 'Skipped. The waiver stays beside everything that comes of it.',
  reject: 'Rejected. The digest is in quarantine.',
  abort: 'Aborted.',
  hold: 'Held. Nothing is changed until it is released.',
  release: 'Released.',
  pin: 'Pinned.',
  promote: 'The promotion has begun.',
  rollback: 'The rollback has begun.',
  quarantine: 'It is in quarantine.',
  unquarantine: 'It may be rolled out again.',
};

/** @returns the verb @throws OperationError */
export async function decideRollout(client: Client, rollout: string, fields: FormFields, actor: Actor): Promise<string> {
  const { verb, step, stage, reason } = parseInput(decisionInput, { ...fields, rollout });
  if (verb === 'approve') await requireSeen(client, rollout, stage, fields);
  await decide(
    client,
    rollout,
    { verb, reason, ...(step !== undefined && { step }), ...(stage !== undefined && { stage }) },
    actor,
  );
  return verb;
}

/** Somebody pushed to the branch since the page was read: that is not what was approved. */
async function requireSeen(
  client: Client,
  rollout: string,
  stage: string | undefined,
  { digest, head }: FormFields,
): Promise<void> {
  const { state } = await readRollout(client, rollout);
  const now = stage === undefined ? undefined : state.proposals[stage]?.head;
  if ((head !== undefined && head !== now) || (digest !== undefined && digest !== state.image.digest)) {
    throw new Refused('What is to be approved has changed since this page was read: look at it again, and then approve it.');
  }
}

export async function decideLane(
  context: Parameters<typeof commandLane>[0],
  service: string,
  fields: FormFields,
  actor: Actor,
): Promise<string> {
  const input = parseInput(laneCommandInput, { ...fields, service });
  if (input.verb === 'rollback') await requireRunning(context.client, service, input.stage, fields.digest);
  await commandLane(context, input, actor);
  return input.verb;
}

/** The form said from what to what: that is what is done, or nothing. */
async function requireRunning(client: Client, service: string, stage: string, digest: string | undefined): Promise<void> {
  const running = (await readLane(client, service))?.stages[stage]?.running?.digest;
  if (digest === undefined || digest === running) return;
  throw new Refused(
    `${stage} runs something else by now, ${running ?? 'which is not known'}: look again at what it would be rolled back to.`,
  );
}

export async function decideAll(client: Client, fields: FormFields, actor: Actor): Promise<string> {
  const input = parseInput(globalHoldInput, fields);
  await commandGlobalHold(client, input, actor);
  return input.verb;
}
