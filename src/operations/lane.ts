import { type Client, WithStartWorkflowOperation, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { QueryDefinition, Workflow } from '@temporalio/common';
import type { Configuration } from '../config/configuration.ts';
import { describeFollowed } from '../config/plans.ts';
import type { ServiceSettings } from '../config/service.ts';
import {
  type GlobalHoldState,
  globalHoldQuery,
  globalHoldUpdate,
  globalReleaseUpdate,
  holdUpdate,
  type LaneDecision,
  laneQuery,
  type PromotionAnswer,
  pinUpdate,
  promoteUpdate,
  quarantineUpdate,
  type RollbackAnswer,
  releaseUpdate,
  rollbackUpdate,
  unquarantineUpdate,
} from '../contracts/messages.ts';
import { isUnsealed, type UnsealedValue } from '../contracts/sealed.ts';
import { globalHoldId, globalHoldStartOptions, laneId, laneStartOptions } from '../contracts/start-options.ts';
import { everyRun } from '../domain/decision-proof.ts';
import type { Digest } from '../domain/image-reference.ts';
import { digestOf, knownDigests } from '../domain/lane/decisions.ts';
import type { LaneState } from '../domain/lane/state.ts';
import type { Attribution } from '../domain/person.ts';
import { matchesWildcard } from '../settings/image-pattern.ts';
import { InvalidConfiguration, NotFound } from './errors.ts';
import type { Actor, GlobalHoldInput, LaneCommand } from './inputs.ts';
import { orRefused } from './lane-terms.ts';
import { withProof } from './proof.ts';
import { answered, answerWithinMs } from './temporal-calls.ts';

/** What a service's lane knows; undefined where nothing of the service was ever rolled out. */
export async function readLane(client: Client, service: string): Promise<LaneState | undefined> {
  return await ask(client, laneId(service), laneQuery);
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
    // The workflow is there only once somebody has held everything. It is asked itself, as what Temporal lists of it lags behind a little.
    ask(client, globalHoldId, globalHoldQuery),
  ]);
  if (lane === undefined) throw noLane(service);
  return { lane, globalHold: globalHold ?? {} };
}

/**
 * What keeps every service from being changed, if anything does. It is in the memo, which Temporal answers without a worker.
 * @throws Unreachable
 */
export async function readGlobalHold(client: Client): Promise<Attribution | undefined> {
  try {
    const described = await answered(client, answerWithinMs, () => client.workflow.getHandle(globalHoldId).describe());
    const hold = described.memo?.hold as Attribution | UnsealedValue | null | undefined;
    if (hold === undefined || hold === null || described.status.name !== 'RUNNING') return undefined;
    if (!isUnsealed(hold)) return hold;
    const at = described.startTime.toISOString();
    return { by: "somebody without Landfall's key", reason: hold.landfall.unsealed, at };
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}

async function ask<Answer>(client: Client, workflowId: string, query: QueryDefinition<Answer>): Promise<Answer | undefined> {
  const handle = client.workflow.getHandle(workflowId);
  try {
    // One that was terminated would still answer, with what it knew then.
    const { status } = await answered(client, answerWithinMs, () => handle.describe());
    if (status.name !== 'RUNNING') return undefined;
    return await answered(client, answerWithinMs, () => handle.query(query));
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}

function noLane(service: string): NotFound {
  return new NotFound(
    `nothing of a service '${service}' has been rolled out yet: landfall list shows what has; landfall trigger IMAGE rolls an image out`,
  );
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
export type LaneAnswer = LaneState | (PromotionAnswer & Partial<RollbackAnswer>);

/** A lane answers at once; this leaves a worker time to replay it first. */
const commandWithinMs = 15_000;

/** These make sense before anything of the service was ever rolled out. */
const startingVerbs: readonly LaneCommand['verb'][] = ['hold', 'quarantine'];

/**
 * Without a token, whoever the actor says to be is noted as unverified.
 * @param configuration reads it when it is needed
 * @returns the command with its whole digest, and what the lane answered
 * @throws NotFound where neither lane nor configuration knows the service or the stage; Refused; Unreachable; InvalidConfiguration
 */
export async function commandLane(
  { client, configuration }: { readonly client: Client; readonly configuration: () => Promise<Configuration> },
  input: LaneCommand,
  actor: Actor,
): Promise<{ readonly command: LaneCommand; readonly answer: LaneAnswer }> {
  const { service, verb } = input;
  const lane = await readLane(client, service);
  const starts = lane === undefined && startingVerbs.includes(verb);
  if (lane === undefined && !starts) throw noLane(service);
  if (starts) await requireKnownService(service, configuration);
  if ('stage' in input && input.stage !== undefined) await requireKnownStage(input.stage, service, lane, configuration);
  const command =
    'digest' in input && input.digest !== undefined ? { ...input, digest: completeDigest(input.digest, lane) } : input;
  return { command, answer: await send(client, command, actor, starts) };
}

async function send(client: Client, command: LaneCommand, actor: Actor, starts: boolean): Promise<LaneAnswer> {
  const { service, verb, reason } = command;
  const said = {
    ...attributedTo(actor, reason),
    ...('stage' in command && command.stage !== undefined && { stage: command.stage }),
    ...('digest' in command && { digest: command.digest }),
  };
  const { name } = updates[verb];
  const options = laneStartOptions(service);
  if (starts && actor.tokenHash !== undefined) await begin(client, () => client.workflow.start('lane', options));
  const target = { verb, rollout: laneId(service), runId: everyRun, tokenHash: actor.tokenHash };
  return await withProof(client, target, said, (decision) =>
    answered(client, commandWithinMs, async () => {
      const args: [LaneDecision] = [decision];
      if (!starts)
        return await client.workflow.getHandle(laneId(service)).executeUpdate<LaneAnswer, [LaneDecision]>(name, { args });
      const startWorkflowOperation = new WithStartWorkflowOperation('lane', options);
      return await client.workflow.executeUpdateWithStart<Workflow, LaneAnswer, [LaneDecision]>(name, {
        args,
        startWorkflowOperation,
      });
    }),
  );
}

/** What a proof is bound to is known only once the workflow runs. It may run already. */
async function begin(client: Client, start: () => Promise<unknown>): Promise<void> {
  await answered(client, commandWithinMs, async () => {
    try {
      await start();
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  });
}

/** Holds all services, or ends that. @throws Unreachable */
export async function commandGlobalHold(
  client: Client,
  { verb, reason }: GlobalHoldInput,
  actor: Actor,
): Promise<GlobalHoldState> {
  const { name } = verb === 'hold' ? globalHoldUpdate : globalReleaseUpdate;
  const { tokenHash } = actor;
  if (tokenHash !== undefined) await begin(client, () => client.workflow.start('globalHold', globalHoldStartOptions()));
  const target = { verb, rollout: globalHoldId, runId: everyRun, tokenHash };
  return await withProof(client, target, attributedTo(actor, reason), (decision) =>
    answered(client, commandWithinMs, () =>
      client.workflow.executeUpdateWithStart<Workflow, GlobalHoldState, [LaneDecision]>(name, {
        args: [decision],
        startWorkflowOperation: new WithStartWorkflowOperation('globalHold', globalHoldStartOptions()),
      }),
    ),
  );
}

function attributedTo({ name, login }: Actor, reason: string | undefined): LaneDecision & { readonly by: string } {
  return { by: name, ...(login !== undefined && { login }), ...(reason !== undefined && { reason }) };
}

/**
 * A digest as people type it: whole, or its beginning (with or without `sha256:`), completed from what the lane knows.
 * @throws Refused where the lane knows none, or several; the message lists them
 */
function completeDigest(text: string, lane: LaneState | undefined): Digest {
  const typed = text.trim().toLowerCase();
  const whole = /^[0-9a-f]{64}$/.test(typed) ? `sha256:${typed}` : typed;
  return orRefused(() => digestOf(whole, lane === undefined ? new Map() : knownDigests(lane), 'anything'));
}

/** A hold of what does not exist would be taken, and hold nothing. @throws NotFound where the configuration has no such service */
async function requireKnownService(service: string, read: () => Promise<Configuration>): Promise<void> {
  const configuration = await read();
  if (settingsOf(configuration, service).length > 0) return;
  const lines = describeFollowed(configuration).map((line) => `  ${line}`);
  const known = lines.length === 0 ? [`${configuration.file} has none yet`] : [`${configuration.file} has:`, ...lines];
  throw new NotFound([`there is no service '${service}'`, ...known].join('\n'));
}

/** @throws NotFound where neither the lane nor the configuration has such a stage */
async function requireKnownStage(
  stage: string,
  service: string,
  lane: LaneState | undefined,
  read: () => Promise<Configuration>,
): Promise<void> {
  const known = new Set(Object.keys(lane?.stages ?? {}));
  if (known.has(stage)) return;
  for (const name of await stagesOf(service, read)) known.add(name);
  if (known.has(stage)) return;
  const stages = known.size === 0 ? 'none is known yet' : `expected one of ${[...known].join(', ')}`;
  throw new NotFound(`${service} has no stage '${stage}': ${stages}`);
}

/** Where the file cannot be used, the lane alone has to know. */
async function stagesOf(service: string, read: () => Promise<Configuration>): Promise<string[]> {
  try {
    return settingsOf(await read(), service).flatMap(({ stages }) => stages.map(({ name }) => name));
  } catch (error) {
    if (error instanceof InvalidConfiguration) return [];
    throw error;
  }
}

/** The service of this name, or the patterns that can give it: `*` stands for something. */
function settingsOf({ services }: Configuration, service: string): ServiceSettings[] {
  const named = services.filter(({ name }) => name === service);
  return named.length > 0
    ? named
    : services.filter(({ name }) => service.length >= name.length && matchesWildcard(name, service));
}
