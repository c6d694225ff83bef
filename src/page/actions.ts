import type { Client } from '@temporalio/client';
import { decide } from '../operations/decide.ts';
import { type Actor, decisionInput, globalHoldInput, laneCommandInput, parseInput } from '../operations/inputs.ts';
import { commandGlobalHold, commandLane } from '../operations/lane.ts';
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
  const { rollout: _, ...input } = parseInput(decisionInput, { ...fields, rollout });
  await decide(client, rollout, input, actor);
  return input.verb;
}

export async function decideLane(
  context: Parameters<typeof commandLane>[0],
  service: string,
  fields: FormFields,
  actor: Actor,
): Promise<string> {
  const input = parseInput(laneCommandInput, { ...fields, service });
  await commandLane(context, input, actor);
  return input.verb;
}

export async function decideAll(client: Client, fields: FormFields, actor: Actor): Promise<string> {
  const input = parseInput(globalHoldInput, fields);
  await commandGlobalHold(client, input, actor);
  return input.verb;
}
