import { type Client, isGrpcServiceError, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import {
  imageOfPassThrough,
  passThroughStartOptions,
  resolveStartOptions,
  rolloutStartOptions,
} from '../../contracts/start-options.ts';
import { concurrently } from '../../domain/concurrently.ts';
import { formatReference } from '../../domain/image-reference.ts';
import type { Log } from '../../domain/log.ts';
import { Problem } from '../../http/problem.ts';
import { causeOf, reasonOf } from '../../operations/temporal-calls.ts';
import { type PlanFinders, type PlannedStarts, planStarts, type ReceivedPushes } from './plan-starts.ts';
import { createPortions } from './portions.ts';
import { orUnavailable, type TemporalCalls } from './unavailable.ts';

/** What Temporal has: a rollout (by its workflow id), or a look-up of what a service's tags point to now. */
export interface AcceptedPush {
  readonly id: string;
  readonly service: string;
  /** `repository:tag`, with `@digest` if it is known. */
  readonly image: string;
  /** Where people see how it goes; absent if Temporal's page is not known. */
  readonly link?: string;
}

/** All empty if no service follows any of the pushes. */
export interface AcceptedPushes {
  readonly rollouts: readonly AcceptedPush[];
  readonly resolving: readonly AcceptedPush[];
  /** Whole pushes that are dispatched as they are; absent if there are none. */
  readonly forwarding?: readonly AcceptedPush[];
  /** Searches for what is to be built of commits; absent if none were pushed. */
  readonly building?: readonly AcceptedPush[];
  /** Such pushes that were passed on before, and so are not again; absent if there are none. */
  readonly repeated?: readonly AcceptedPush[];
  /** What Temporal calls invalid, and always will; absent if there are none. Why is in the log. */
  readonly refused?: readonly AcceptedPush[];
}

export interface AcceptDependencies extends PlanFinders, TemporalCalls {
  /** Whether the namespace has all that starts need. If so, a start that Temporal calls invalid is invalid for ever. */
  readonly isNamespaceReady: () => Promise<boolean>;
  /** Where people see a workflow. */
  readonly linkTo?: (id: string) => string;
}

export type AcceptPushes = (received: ReceivedPushes) => Promise<AcceptedPushes>;

/** A request has one push, rarely a handful; this bounds what a huge one does to Temporal. */
const startsAtOnce = 8;

/**
 * From image pushes to workflows. It returns only when Temporal has all of them but those that it can never take; if one is missing, the
 * whole request is refused, and sending it again is safe because every start carries its business key.
 * @returns a function that throws Problem 503 if Temporal does not answer in time or refuses, and where a request is worth too many
 *   starts: some were made then, and the same request brings the next ones
 */
export function createAcceptPushes(dependencies: AcceptDependencies): AcceptPushes {
  const says = {
    logged: 'a push could not be stored: Temporal did not take its workflow',
    detail: 'The push could not be stored, so nothing was started. Send it again later.',
  };
  const portionOf = createPortions(mostStartsOfRequest);
  return async (received) => {
    const starts = startsOf(dependencies.client, planStarts(received, dependencies));
    const portion = portionOf(starts, ({ kind, push }) => `${kind} ${push.service} ${push.image}`);
    const start = () => concurrently(portion.items, startsAtOnce, (each) => tryStart(each, dependencies));
    const tried = await orUnavailable(dependencies, says, start);
    portion.isDone();
    if (portion.left > 0) throw tooMany(starts.length, portion.left, dependencies.log);
    return sorted(tried);
  };
}

/** Far more than one push is worth; what a stolen secret can start is bounded by it. */
const mostStartsOfRequest = 100;

/** What is left is taken when the same request comes again, as senders do that are not told 2xx. */
function tooMany(all: number, left: number, log: Log): Problem {
  log.warn({ starts: all, left }, `a request asks for more than ${mostStartsOfRequest} starts at once`);
  return new Problem(
    503,
    'limited',
    `This request is worth ${all} starts, and at most ${mostStartsOfRequest} are made at once: ${left} are left. Send the same request again for them.`,
    { 'Retry-After': '2' },
  );
}

interface PushStart {
  readonly kind: keyof Required<AcceptedPushes>;
  readonly push: AcceptedPush;
  begin(): Promise<unknown>;
}

type TriedStart = Omit<PushStart, 'begin'>;

function startsOf(client: Client, { rollouts, lookUps, forwards }: PlannedStarts): readonly PushStart[] {
  return [
    ...rollouts.map((start): PushStart => {
      const options = rolloutStartOptions(start);
      const push = { id: options.workflowId, service: start.plan.service, image: formatReference(start.image) };
      return { kind: 'rollouts', push, begin: () => client.workflow.start('rollout', options) };
    }),
    ...lookUps.map((lookUp): PushStart => {
      const options = resolveStartOptions(lookUp);
      const { repository, tag } = lookUp.push;
      const push = { id: options.workflowId, service: lookUp.plan.service, image: formatReference({ repository, tag }) };
      return { kind: 'resolving', push, begin: () => client.workflow.signalWithStart('resolve', options) };
    }),
    ...forwards.map((start): PushStart => {
      const options = passThroughStartOptions(start);
      const push = { id: options.workflowId, service: start.plan.service, image: imageOfPassThrough(start) };
      return { kind: 'forwarding', push, begin: () => client.workflow.start('passThrough', options) };
    }),
  ];
}

/** gRPC's INVALID_ARGUMENT: https://grpc.io/docs/guides/status-codes/ */
const invalidArgument = 3;

/** A registry repeats a request for ever until it is acknowledged, so a push that can never be started must not be answered with 503. */
async function tryStart({ kind, push, begin }: PushStart, dependencies: AcceptDependencies): Promise<TriedStart> {
  const { isNamespaceReady, linkTo, log } = dependencies;
  try {
    await begin();
    return { kind, push: linkTo === undefined ? push : { ...push, link: linkTo(push.id) } };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return { kind: 'repeated', push };
    const cause = causeOf(error);
    const isCalledInvalid = isGrpcServiceError(cause) && cause.code === invalidArgument;
    if (!isCalledInvalid || !(await isNamespaceReady())) throw error;
    log.error({ ...push, reason: reasonOf(error) }, 'a push is left out: Temporal can never take its workflow');
    return { kind: 'refused', push };
  }
}

function sorted(tried: readonly TriedStart[]): AcceptedPushes {
  const of = (wanted: PushStart['kind']) => tried.filter(({ kind }) => kind === wanted).map(({ push }) => push);
  const [refused, forwarding, repeated] = [of('refused'), of('forwarding'), of('repeated')];
  return {
    rollouts: of('rollouts'),
    resolving: of('resolving'),
    ...(forwarding.length > 0 && { forwarding }),
    ...(repeated.length > 0 && { repeated }),
    ...(refused.length > 0 && { refused }),
  };
}
