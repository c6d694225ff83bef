import { type Client, isGrpcServiceError } from '@temporalio/client';
import { formatReference } from '../domain/image-reference.ts';
import type { LookUp, RolloutStart } from '../workflows/messages.ts';
import { resolveStartOptions, rolloutStartOptions } from '../workflows/start-options.ts';
import type { Log } from './errors.ts';
import { type PlanFinders, planStarts, type ReceivedPushes } from './plan-starts.ts';
import { Problem } from './problem.ts';
import { causeOf, defaultDeadlineMs, inBatches, inTime, isTemporalFailure, reasonOf } from './temporal-in-time.ts';

/** What Temporal has: a rollout (by its workflow id), or a look-up of what a service's tags point to now. */
export interface AcceptedPush {
  readonly id: string;
  readonly service: string;
  /** `repository:tag`, with `@digest` where it is known. */
  readonly image: string;
}

/** All empty where no service follows any of the pushes. */
export interface AcceptedPushes {
  readonly rollouts: readonly AcceptedPush[];
  readonly resolving: readonly AcceptedPush[];
  /** What Temporal calls invalid, and always will; absent where there is nothing of the kind. Why is in the log. */
  readonly refused?: readonly AcceptedPush[];
}

export interface AcceptDependencies extends PlanFinders {
  readonly client: Client;
  /** Whether the namespace has all that starts need. Where it has, a start that Temporal calls invalid is so by its own fault. */
  readonly isNamespaceReady: () => Promise<boolean>;
  readonly log: Log;
  /** How long all starts of one request may take together. */
  readonly deadlineMs?: number;
}

export type AcceptPushes = (received: ReceivedPushes) => Promise<AcceptedPushes>;

/** A request has one push, rarely a handful; this bounds what a huge one does to Temporal. */
const startsAtOnce = 8;
const retryAfterSeconds = 10;

/**
 * From image pushes to workflows. It returns only when Temporal has all of them but those that it can never have; where it does not have
 * one, the whole request is refused, and sending it again is safe because every start carries its business key.
 * @returns a function that throws Problem 503 where Temporal does not answer in time or refuses
 */
export function createAcceptPushes(dependencies: AcceptDependencies): AcceptPushes {
  const { client, log, deadlineMs = defaultDeadlineMs } = dependencies;
  return async (received) => {
    const { rollouts, lookUps } = planStarts(received, dependencies);
    const starts = [
      ...rollouts.map((start) => rolloutStart(client, start)),
      ...lookUps.map((lookUp) => lookUpStart(client, lookUp)),
    ].map((start) => () => tryStart(start, dependencies));
    try {
      return sorted(await inTime(client, deadlineMs, () => inBatches(starts, startsAtOnce)));
    } catch (error) {
      throw unavailable(error, log);
    }
  };
}

type Kind = keyof Required<AcceptedPushes>;

interface Start {
  readonly kind: Kind;
  readonly push: AcceptedPush;
  begin(): Promise<unknown>;
}

function rolloutStart(client: Client, start: RolloutStart): Start {
  const { workflowId: id, ...options } = rolloutStartOptions(start);
  return {
    kind: 'rollouts',
    push: { id, service: start.plan.service, image: formatReference(start.image) },
    begin: () => client.workflow.start('rollout', { ...options, workflowId: id }),
  };
}

function lookUpStart(client: Client, lookUp: LookUp): Start {
  const options = resolveStartOptions(lookUp);
  const { repository, tag } = lookUp.push;
  return {
    kind: 'resolving',
    push: { id: options.workflowId, service: lookUp.plan.service, image: formatReference({ repository, tag }) },
    begin: () => client.workflow.signalWithStart('resolve', options),
  };
}

interface Tried {
  readonly kind: Kind;
  readonly push: AcceptedPush;
}

/** A registry sends again for ever what is not acknowledged, so what can never be started must not be answered with 503. */
async function tryStart({ kind, push, begin }: Start, { isNamespaceReady, log }: AcceptDependencies): Promise<Tried> {
  try {
    await begin();
    return { kind, push };
  } catch (error) {
    if (!isCalledInvalid(error) || !(await isNamespaceReady())) throw error;
    log.error({ ...push, reason: reasonOf(error) }, 'a push is left out: Temporal can never take its workflow');
    return { kind: 'refused', push };
  }
}

function sorted(tried: readonly Tried[]): AcceptedPushes {
  const of = (wanted: Kind) => tried.filter(({ kind }) => kind === wanted).map(({ push }) => push);
  const refused = of('refused');
  return { rollouts: of('rollouts'), resolving: of('resolving'), ...(refused.length > 0 && { refused }) };
}

/** gRPC's INVALID_ARGUMENT: https://grpc.io/docs/guides/status-codes/ */
const invalidArgument = 3;

function isCalledInvalid(error: unknown): boolean {
  const cause = causeOf(error);
  return isGrpcServiceError(cause) && cause.code === invalidArgument;
}

function unavailable(error: unknown, log: Log): unknown {
  if (!isTemporalFailure(error)) return error;
  log.error({ reason: reasonOf(error) }, 'a push could not be stored: Temporal did not take its workflow');
  return new Problem(503, 'unavailable', 'The push could not be stored, so nothing was started. Send it again later.', {
    'Retry-After': String(retryAfterSeconds),
  });
}
