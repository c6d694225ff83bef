import { type Client, WithStartWorkflowOperation, WorkflowUpdateRPCTimeoutOrCancelledError } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';
import {
  type GlobalHoldState,
  globalHoldUpdate,
  globalReleaseUpdate,
  holdUpdate,
  type LaneDecision,
  pinUpdate,
  promoteUpdate,
  quarantineUpdate,
  releaseUpdate,
  rollbackUpdate,
  unquarantineUpdate,
} from '../contracts/messages.ts';
import { globalHoldStartOptions, laneId, laneStartOptions } from '../contracts/start-options.ts';
import type { RollbackTerms } from '../domain/lane/rollback.ts';
import type { LaneState } from '../domain/lane/state.ts';
import { nameOfPerson } from '../domain/person.ts';
import { answeredInTime, temporalPlace, withClient } from './connection.ts';
import { CommandFailure, UsageFailure } from './failure.ts';
import { requireKnownService, requireKnownStage } from './known-services.ts';
import { completeDigest, noLane, parseService, readLane } from './lanes.ts';
import { shortId } from './rollouts.ts';
import { noWorker } from './service-errors.ts';
import { plain, type Surroundings } from './terminal.ts';

export interface SteerOptions {
  readonly config: string;
  readonly reason?: string;
  readonly as?: string;
  readonly json?: boolean;
}

/** What a lane is told, beside by whom and why. */
export type Order =
  | { readonly verb: 'hold' | 'release'; readonly stage?: string }
  | { readonly verb: 'rollback'; readonly stage: string }
  | { readonly verb: 'pin' | 'promote'; readonly stage: string; readonly digest: string }
  | { readonly verb: 'quarantine' | 'unquarantine'; readonly digest: string };

const updates: Readonly<Record<Order['verb'], { readonly name: string }>> = {
  hold: holdUpdate,
  release: releaseUpdate,
  pin: pinUpdate,
  quarantine: quarantineUpdate,
  unquarantine: unquarantineUpdate,
  rollback: rollbackUpdate,
  promote: promoteUpdate,
};

type Answer = LaneState | ({ readonly workflow: string } & Partial<RollbackTerms>);

/** A lane answers at once; this leaves a worker time to replay it first. */
const answerWithinMs = 15_000;

/** These make sense before anything of the service was ever rolled out. */
const startingVerbs: readonly Order['verb'][] = ['hold', 'quarantine'];
const reasonedVerbs: readonly Order['verb'][] = ['hold', 'pin', 'rollback'];

/** `landfall hold|release|pin|quarantine|unquarantine|rollback|promote SERVICE ...` */
export async function steer(text: string, order: Order, options: SteerOptions, surroundings: Surroundings): Promise<void> {
  const service = parseService(text);
  const said = wordsOf(order.verb, options, surroundings);
  await withClient(temporalPlace(options.config, surroundings), async (client) => {
    const lane = await readLane(client, service);
    const starts = lane === undefined && startingVerbs.includes(order.verb);
    if (lane === undefined && !starts) throw noLane(service);
    if (starts) requireKnownService(service, options.config, surroundings);
    if ('stage' in order && order.stage !== undefined) {
      requireKnownStage(order.stage, service, lane, options.config, surroundings);
    }
    const complete = 'digest' in order ? { ...order, digest: completeDigest(order.digest, lane) } : order;
    const answer = await inTime(client, () => send(client, service, complete, said, starts));
    if (options.json) return surroundings.print(JSON.stringify({ service, ...answer }, null, 2));
    surroundings.print(`${service}: ${describe(complete, answer)} by ${nameOfPerson({ by: said.by, verified: false })}`);
    for (const line of 'workflow' in answer ? describeTerms(answer) : []) surroundings.print(line);
  });
}

/** `landfall hold --all` and `landfall release --all`: the line, which is all services. */
export async function steerLine(verb: 'hold' | 'release', options: SteerOptions, surroundings: Surroundings): Promise<void> {
  const said = wordsOf(verb, options, surroundings);
  const { name } = verb === 'hold' ? globalHoldUpdate : globalReleaseUpdate;
  const line = await withClient(temporalPlace(options.config, surroundings), (client) =>
    inTime(client, () =>
      client.workflow.executeUpdateWithStart<Workflow, GlobalHoldState, [LaneDecision]>(name, {
        args: [said],
        startWorkflowOperation: new WithStartWorkflowOperation('globalHold', globalHoldStartOptions()),
      }),
    ),
  );
  if (options.json) return surroundings.print(JSON.stringify(line, null, 2));
  const who = nameOfPerson({ by: said.by, verified: false });
  surroundings.print(
    verb === 'hold'
      ? `the line is stopped by ${who}: nothing but roll-backs changes what runs, until landfall release --all`
      : `the line goes on: released by ${who}`,
  );
}

type Said = LaneDecision & { readonly by: string };

function wordsOf(verb: Order['verb'], { reason: typed, as }: SteerOptions, { operator }: Surroundings): Said {
  const reason = typed?.trim();
  if (!reason && reasonedVerbs.includes(verb)) {
    throw new UsageFailure(`whoever finds it later has to know why: landfall ${verb} ... --reason TEXT`);
  }
  return { by: as?.trim() || operator, ...(reason ? { reason } : {}) };
}

async function send(client: Client, service: string, { verb, ...about }: Order, said: Said, starts: boolean): Promise<Answer> {
  const args: [LaneDecision] = [{ ...said, ...about }];
  const { name } = updates[verb];
  if (!starts) return await client.workflow.getHandle(laneId(service)).executeUpdate<Answer, [LaneDecision]>(name, { args });
  const startWorkflowOperation = new WithStartWorkflowOperation('lane', laneStartOptions(service));
  return await client.workflow.executeUpdateWithStart<Workflow, Answer, [LaneDecision]>(name, { args, startWorkflowOperation });
}

async function inTime<Result>(client: Client, call: () => Promise<Result>): Promise<Result> {
  try {
    return await answeredInTime(client, answerWithinMs, call);
  } catch (error) {
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) throw new CommandFailure(noWorker, 1, { cause: error });
    throw error;
  }
}

/** What a roll-back comes to, and what it waits for. A lane of before says nothing of it. */
function describeTerms({ from, to, behind, unpins }: Partial<RollbackTerms>): string[] {
  return [
    ...(from === undefined ? [] : [`  from ${plain(from)}`]),
    ...(to ? [`  to ${plain(to)}`] : []),
    ...(behind === undefined
      ? []
      : [`  it waits for ${shortId(behind)}, which is changing the stage: landfall show ${shortId(behind)}`]),
    ...(unpins ? ['  the pin of what is rolled back is released'] : []),
  ];
}

function describe(order: Order, answer: Answer): string {
  const workflow = 'workflow' in answer ? `landfall show ${shortId(answer.workflow)}` : '';
  switch (order.verb) {
    case 'hold':
      return `${order.stage ?? 'all stages'} held`;
    case 'release':
      return `${order.stage ?? 'all stages'} released`;
    case 'pin':
      return `${order.stage} pinned to ${order.digest}`;
    case 'quarantine':
      return `${order.digest} quarantined`;
    case 'unquarantine':
      return `${order.digest} out of quarantine`;
    case 'rollback':
      return `${order.stage} is being rolled back (${workflow})`;
    case 'promote':
      return `${order.digest} is being promoted to ${order.stage} (${workflow})`;
  }
}
