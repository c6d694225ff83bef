import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';
import { z } from 'zod';
import {
  type GlobalHoldState,
  globalHoldUpdate,
  globalReleaseUpdate,
  holdUpdate,
  type LaneDecision,
  pinUpdate,
  promoteUpdate,
  quarantineUpdate,
  type RollbackAnswer,
  releaseUpdate,
  rollbackUpdate,
  unquarantineUpdate,
} from '../contracts/messages.ts';
import { globalHoldStartOptions, laneId, laneStartOptions } from '../contracts/start-options.ts';
import type { LaneState } from '../domain/lane/state.ts';
import type { Actor } from './actor.ts';
import { answered } from './answered.ts';
import { reasonInput, serviceInput } from './input.ts';
import { type ReadConfiguration, requireKnownService, requireKnownStage } from './known-services.ts';
import { completeDigest, noLane, readLane } from './lane.ts';

const common = { service: serviceInput, reason: reasonInput };

/** What changes how a service's lane goes on. `digest`: a whole one, or the beginning of one that the lane knows. */
export const laneCommandInput = z
  .discriminatedUnion('verb', [
    z.object({ ...common, verb: z.literal('hold'), stage: z.string().optional() }),
    z.object({ ...common, verb: z.literal('release'), stage: z.string().optional() }),
    z.object({ ...common, verb: z.literal('pin'), stage: z.string(), digest: z.string() }),
    z.object({ ...common, verb: z.literal('quarantine'), digest: z.string() }),
    z.object({ ...common, verb: z.literal('unquarantine'), digest: z.string() }),
    z.object({ ...common, verb: z.literal('rollback'), stage: z.string() }),
    z.object({ ...common, verb: z.literal('promote'), stage: z.string(), digest: z.string() }),
  ])
  .superRefine(requireReason);
export type LaneCommand = z.output<typeof laneCommandInput>;

/** Of all services at once. */
export const globalHoldInput = z.object({ verb: z.enum(['hold', 'release']), reason: reasonInput }).superRefine(requireReason);
export type GlobalHoldCommand = z.output<typeof globalHoldInput>;

function requireReason(
  { verb, reason }: { readonly verb: string; readonly reason?: string | undefined },
  context: z.RefinementCtx,
) {
  if (reason !== undefined || !['hold', 'pin', 'rollback'].includes(verb)) return;
  const message = `whoever finds it later has to know why: landfall ${verb} ... --reason TEXT`;
  context.addIssue({ code: 'custom', path: ['reason'], message });
}

const updates: Readonly<Record<LaneCommand['verb'], { readonly name: string }>> = {
  hold: holdUpdate,
  release: releaseUpdate,
  pin: pinUpdate,
  quarantine: quarantineUpdate,
  unquarantine: unquarantineUpdate,
  rollback: rollbackUpdate,
  promote: promoteUpdate,
};

/** The lane as it is then; of a rollback or a promotion, the workflow that does it, and what the rollback comes to. */
export type LaneAnswer = LaneState | ({ readonly workflow: string } & Partial<RollbackAnswer>);

/** A lane answers at once; this leaves a worker time to replay it first. */
const commandWithinMs = 15_000;

/** These make sense before anything of the service was ever rolled out. */
const startingVerbs: readonly LaneCommand['verb'][] = ['hold', 'quarantine'];

export interface LaneCommandResult {
  /** With the whole digest. */
  readonly command: LaneCommand;
  readonly answer: LaneAnswer;
}

/**
 * Lanes take no proof: whoever the actor says to be is noted as unverified.
 * @throws NotFound where neither lane nor configuration knows the service or the stage; Refused; Unreachable; InvalidConfiguration
 */
export async function commandLane(
  { client, configuration }: { readonly client: Client; readonly configuration: ReadConfiguration },
  input: LaneCommand,
  actor: Actor,
): Promise<LaneCommandResult> {
  const { service, verb } = input;
  const lane = await readLane(client, service);
  const starts = lane === undefined && startingVerbs.includes(verb);
  if (lane === undefined && !starts) throw noLane(service);
  if (starts) requireKnownService(service, configuration);
  if ('stage' in input && input.stage !== undefined) requireKnownStage(input.stage, service, lane, configuration);
  const command = 'digest' in input ? { ...input, digest: completeDigest(input.digest, lane) } : input;
  return { command, answer: await answered(client, commandWithinMs, () => send(client, command, actor, starts)) };
}

async function send(client: Client, command: LaneCommand, actor: Actor, starts: boolean): Promise<LaneAnswer> {
  const { service, verb, reason } = command;
  const where = {
    ...('stage' in command && command.stage !== undefined && { stage: command.stage }),
    ...('digest' in command && { digest: command.digest }),
  };
  const args: [LaneDecision] = [{ ...attributedTo(actor, reason), ...where }];
  const { name } = updates[verb];
  if (!starts) return await client.workflow.getHandle(laneId(service)).executeUpdate<LaneAnswer, [LaneDecision]>(name, { args });
  const startWorkflowOperation = new WithStartWorkflowOperation('lane', laneStartOptions(service));
  return await client.workflow.executeUpdateWithStart<Workflow, LaneAnswer, [LaneDecision]>(name, {
    args,
    startWorkflowOperation,
  });
}

/** Holds all services, or ends that. @throws Unreachable */
export async function commandGlobalHold(
  client: Client,
  { verb, reason }: GlobalHoldCommand,
  actor: Actor,
): Promise<GlobalHoldState> {
  const { name } = verb === 'hold' ? globalHoldUpdate : globalReleaseUpdate;
  return await answered(client, commandWithinMs, () =>
    client.workflow.executeUpdateWithStart<Workflow, GlobalHoldState, [LaneDecision]>(name, {
      args: [attributedTo(actor, reason)],
      startWorkflowOperation: new WithStartWorkflowOperation('globalHold', globalHoldStartOptions()),
    }),
  );
}

function attributedTo({ name }: Actor, reason: string | undefined): LaneDecision {
  return { by: name, ...(reason !== undefined && { reason }) };
}
