import { type Client, isGrpcServiceError, ServiceError } from '@temporalio/client';
import type { ImagePush } from '../domain/image-push.ts';
import { formatReference, type Repository, type Tag } from '../domain/image-reference.ts';
import type { Plan } from '../domain/plan.ts';
import type { LookUp, RolloutStart } from '../workflows/messages.ts';
import { resolveStartOptions, rolloutStartOptions } from '../workflows/start-options.ts';
import type { Log } from './errors.ts';
import { Problem } from './problem.ts';

/** What one request brought. */
export interface ReceivedPushes {
  readonly pushes: readonly ImagePush[];
  /** The source may name only one of several tags that were pushed together. */
  readonly namesOneOfSeveralTags: boolean;
}

/** What Temporal has: a rollout (by its workflow id), or a look-up of what a service's tags point to now. */
export interface AcceptedPush {
  readonly id: string;
  readonly service: string;
  /** `repository:tag`, with `@digest` where it is known. */
  readonly image: string;
}

/** Both empty where no service follows any of the pushes. */
export interface AcceptedPushes {
  readonly rollouts: readonly AcceptedPush[];
  readonly resolving: readonly AcceptedPush[];
}

export interface AcceptDependencies {
  readonly client: Client;
  /** The plans of the services that follow this tag of the repository. */
  readonly plansFor: (repository: Repository, tag: Tag) => readonly Plan[];
  /** The plans of all services of the repository, whichever tags they follow. */
  readonly plansOfRepository: (repository: Repository) => readonly Plan[];
  readonly log: Log;
  /** How long all starts of one request may take together. */
  readonly deadlineMs?: number;
}

export type AcceptPushes = (received: ReceivedPushes) => Promise<AcceptedPushes>;

/** The client's own default takes 20 s to fail; senders give up after 10 (GitHub). */
const defaultDeadlineMs = 5_000;
/** The client may sleep between two tries when the deadline passes. */
const graceMs = 500;
/** A request has one push, rarely a handful; this bounds what a huge one does to Temporal. */
const startsAtOnce = 8;
const retryAfterSeconds = 10;

/**
 * From image pushes to workflows. It returns only when Temporal has all of them; where it does not have one, the whole request is
 * refused, and sending it again is safe because every start carries its business key.
 * @returns a function that throws Problem 503 where Temporal does not answer in time or refuses
 */
export function createAcceptPushes(dependencies: AcceptDependencies): AcceptPushes {
  const { client, log, deadlineMs = defaultDeadlineMs } = dependencies;
  return async (received) => {
    const { rollouts, lookUps } = planStarts(received, dependencies);
    const starts = [
      ...rollouts.map((start) => () => startRollout(client, start)),
      ...lookUps.map((lookUp) => () => startLookUp(client, lookUp)),
    ];
    try {
      const accepted = await within(deadlineMs + graceMs, () =>
        client.withDeadline(Date.now() + deadlineMs, () => inBatches(starts, startsAtOnce)),
      );
      return { rollouts: accepted.slice(0, rollouts.length), resolving: accepted.slice(rollouts.length) };
    } catch (error) {
      throw unavailable(error, log);
    }
  };
}

/** The two questions that the configuration answers. */
export type PlanFinders = Pick<AcceptDependencies, 'plansFor' | 'plansOfRepository'>;
interface Starts {
  readonly rollouts: readonly RolloutStart[];
  readonly lookUps: readonly LookUp[];
}

/** Which workflows a request is worth. Starts are dear: each once, and none for what nobody follows. */
export function planStarts(
  { pushes, namesOneOfSeveralTags }: ReceivedPushes,
  { plansFor, plansOfRepository }: PlanFinders,
): Starts {
  const rollouts = new Map<string, RolloutStart>();
  const lookUps = new Map<string, LookUp>();
  for (const push of pushes) {
    const { repository, tag, digest } = push;
    for (const plan of plansFor(repository, tag)) {
      if (digest === undefined) lookUps.set(`${plan.service} ${tag}`, { plan, push });
      else rollouts.set(`${plan.service} ${tag} ${digest}`, { plan, image: { repository, tag, digest }, push });
    }
    if (!namesOneOfSeveralTags) continue;
    for (const plan of plansOfRepository(repository)) {
      if (followsOtherExactTag(plan, push)) lookUps.set(`${plan.service} ${tag}`, { plan, push });
    }
  }
  return { rollouts: [...rollouts.values()], lookUps: [...lookUps.values()] };
}

function followsOtherExactTag({ tags }: Plan, { tag }: ImagePush): boolean {
  return tags.kind === 'exact' && tags.tags.some((followed) => followed !== tag);
}

async function startRollout(client: Client, start: RolloutStart): Promise<AcceptedPush> {
  const { workflowId: id, ...options } = rolloutStartOptions(start);
  await client.workflow.start('rollout', { ...options, workflowId: id });
  return { id, service: start.plan.service, image: formatReference(start.image) };
}

async function startLookUp(client: Client, lookUp: LookUp): Promise<AcceptedPush> {
  const options = resolveStartOptions(lookUp);
  await client.workflow.signalWithStart('resolve', options);
  const { repository, tag } = lookUp.push;
  return { id: options.workflowId, service: lookUp.plan.service, image: formatReference({ repository, tag }) };
}

/** All of a batch are over before the next begins or an error is thrown, so nothing goes on behind an answer. */
async function inBatches<Result>(tasks: readonly (() => Promise<Result>)[], size: number): Promise<Result[]> {
  const results: Result[] = [];
  for (let first = 0; first < tasks.length; first += size) {
    const settled = await Promise.allSettled(tasks.slice(first, first + size).map((task) => task()));
    for (const outcome of settled) {
      if (outcome.status === 'rejected') throw outcome.reason;
      results.push(outcome.value);
    }
  }
  return results;
}

class DeadlinePassed extends Error {}

async function within<Result>(milliseconds: number, work: () => Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DeadlinePassed(`no answer within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([work(), deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** What is no answer of Temporal's is a defect of ours, and stays one. */
function unavailable(error: unknown, log: Log): unknown {
  const cause = error instanceof ServiceError ? (error.cause ?? error) : error;
  if (!(error instanceof ServiceError || error instanceof DeadlinePassed || isGrpcServiceError(error))) return error;
  const reason = isGrpcServiceError(cause)
    ? `${cause.code}: ${cause.details}`
    : cause instanceof Error
      ? cause.message
      : String(cause);
  log.error({ reason }, 'a push could not be stored: Temporal did not take its workflow');
  return new Problem(503, 'unavailable', 'The push could not be stored, so nothing was started. Send it again later.', {
    'Retry-After': String(retryAfterSeconds),
  });
}
