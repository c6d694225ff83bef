import {
  ActivityFailure,
  type ActivityInput,
  ApplicationFailure,
  type LocalActivityInput,
  log,
  type UpdateInput,
  type WorkflowInboundCallsInterceptor,
  type WorkflowInterceptors,
  type WorkflowOutboundCallsInterceptor,
  workflowInfo,
} from '@temporalio/workflow';
import { clockToleranceMs, isUnsealed, openArguments, openSealed, type SealCheck, sealedArguments } from '../contracts/sealed.ts';
import { failureTypes, isOneOf } from '../domain/failures.ts';
import { tracesInbound, tracesOutbound } from './traced.ts';

/*
 * What a workflow takes from Temporal, and what it hands to it. Each of these was sealed for its one use by a process with Landfall's key, or
 * it is refused:
 *
 *   start               fails the workflow
 *   signal              is left out, with a warning in the log
 *   update              is refused, which is the answer to whoever sent it, with a warning in the log
 *   answer or "no"      of an activity: fails the activity, as `NotSealed`
 *
 * Queries are open to everybody: they change nothing.
 */

/** These take everything by signals, or nothing at all: whoever starts one of them with nothing has done nothing. */
const startedWithNothing = ['notify', 'redeliver', 'resolve'];

/** A seal of a key that is not known here. Somebody gave two processes different keys: the task is tried until that is mended. */
class OtherKey extends Error {}

/** Bundled with the workflows: Temporal's worker calls it once for each run. */
export function interceptors(): WorkflowInterceptors {
  const trust = new Trust();
  // Traces see only what was sealed, and what is not sealed yet.
  return { inbound: [takesSealed(trust), tracesInbound], outbound: [tracesOutbound, seals(trust)] };
}

/** What is not sealed and yet believed: what came before Landfall sealed anything. */
class Trust {
  #sinceMs = 0;

  /** By the time of the history, which is the same in each replay. */
  arguments(args: readonly unknown[], wanted: string): SealCheck {
    for (const arg of args) if (isUnsealed(arg)) this.#sinceMs = arg.landfall.since ?? 0;
    return openArguments(args, wanted, Date.now());
  }

  value(value: unknown, wanted: string): SealCheck {
    return openSealed(value, wanted, Date.now());
  }

  /** For a failure: where that has no details, nothing of it says until when. */
  isBefore(): boolean {
    return Date.now() < this.#sinceMs;
  }
}

/** None of these is async: what a workflow does next must not depend on how many promises stand between it and its caller. */
function takesSealed(trust: Trust): WorkflowInboundCallsInterceptor {
  const openUpdate = ({ name, updateId, args }: UpdateInput): unknown[] => {
    const check = inThisRun(trust.arguments(args, `update ${name} ${updateId}`));
    if ('value' in check) return [check.value];
    log.warn("an update was refused: it is not sealed with Landfall's key", { error: `${name}: ${check.refused}` });
    throw notSealed(`the update ${name}`, check.refused);
  };
  return {
    execute(input, next) {
      const { workflowType, unsafe } = workflowInfo();
      if (input.args.length === 0 && startedWithNothing.includes(workflowType)) return next(input);
      const check = startedNow(trust.arguments(input.args, `start ${workflowType}`));
      if ('value' in check) return next({ ...input, args: [check.value] });
      const what = `the start of ${workflowType}`;
      // What has gone on for a while was taken by somebody with the right key, and is not to end because of this worker.
      const isOurs = check.otherKey || unsafe.isReplaying;
      return Promise.reject(isOurs ? new OtherKey(sentence(what, check.refused)) : notSealed(what, check.refused));
    },
    handleSignal(input, next) {
      const check = inThisRun(trust.arguments(input.args, `signal ${input.signalName}`));
      if ('value' in check) return next({ ...input, args: [check.value] });
      log.warn("a signal was left out: it is not sealed with Landfall's key", { error: `${input.signalName}: ${check.refused}` });
      return Promise.resolve();
    },
    validateUpdate: (input, next) => next({ ...input, args: openUpdate(input) }),
    handleUpdate(input, next) {
      try {
        return next({ ...input, args: openUpdate(input) });
      } catch (error) {
        return Promise.reject(error);
      }
    },
  };
}

/** One that was taken from an earlier run of the same workflow is too old. */
function startedNow(check: SealCheck): SealCheck {
  const at = 'terms' in check ? check.terms?.at : undefined;
  if (at === undefined || Math.abs(at - workflowInfo().startTime.getTime()) <= clockToleranceMs) return check;
  return { refused: `it was sealed at ${new Date(at).toISOString()}, for another start (or the clocks differ)` };
}

/** Temporal takes an update once in a run, and a signal that comes twice changes nothing. */
function inThisRun(check: SealCheck): SealCheck {
  const at = 'terms' in check ? check.terms?.at : undefined;
  if (at === undefined || at >= workflowInfo().startTime.getTime() - clockToleranceMs) return check;
  return { refused: `it was sealed at ${new Date(at).toISOString()}, before this run began (or the clocks differ)` };
}

function sentence(what: string, reason: string): string {
  return `${what} is not sealed with Landfall's key: ${reason}`;
}

function notSealed(what: string, reason: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(sentence(what, reason), 'NotSealed');
}

function seals(trust: Trust): WorkflowOutboundCallsInterceptor {
  const asking = <Input extends ActivityInput | LocalActivityInput>(input: Input): Input => {
    const { runId: run, firstExecutionRunId: chain, taskQueue } = workflowInfo();
    const queue = ('taskQueue' in input.options && input.options.taskQueue) || taskQueue;
    return { ...input, args: sealedArguments({ for: `activity ${input.activityType} on ${queue}`, run, chain }, input.args) };
  };
  const take = (asked: Promise<unknown>, activity: string): Promise<unknown> =>
    asked.then(
      (answer) => answerOf(trust, answer, activity),
      (error: unknown) => {
        throw error instanceof ActivityFailure ? failureOf(trust, error, activity) : error;
      },
    );
  return {
    scheduleActivity: (input, next) => take(next(asking(input)), input.activityType),
    scheduleLocalActivity: (input, next) => take(next(asking(input)), input.activityType),
    signalWorkflow: (input, next) =>
      next({ ...input, args: sealedArguments({ for: `signal ${input.signalName}`, at: Date.now() }, input.args) }),
    continueAsNew: (input, next) =>
      next({
        ...input,
        args: sealedArguments({ for: `start ${input.options.workflowType}`, at: Date.now() }, input.args),
      }),
  };
}

function answerOf(trust: Trust, answer: unknown, activity: string): unknown {
  const check = inThisChain(trust.value(answer, `answer ${activity}`));
  if ('value' in check) return check.value;
  throw failedActivity(activity, `the answer of ${activity}`, check.refused);
}

/** An activity that was asked before Landfall sealed anything knows of no chain. */
function inThisChain(check: SealCheck): SealCheck {
  const chain = 'terms' in check ? check.terms?.chain : undefined;
  if (chain === undefined || chain === workflowInfo().firstExecutionRunId) return check;
  return { refused: 'it was sealed for another run' };
}

/**
 * A "no" of an activity decides what happens next, so it has a seal: the last of its details, which nobody else gets to see. What is merely
 * broken has none: Temporal itself tells of time-outs and of lost workers.
 */
function failureOf(trust: Trust, error: ActivityFailure, activity: string): ActivityFailure {
  const { cause } = error;
  if (!(cause instanceof ApplicationFailure)) return error;
  const { type, details, nonRetryable, message } = cause;
  const seal = inThisChain(trust.value(details?.at(-1), `failure ${activity} ${type}`));
  if ('terms' in seal && !details?.some(isUnsealed)) {
    details?.pop();
    return error;
  }
  const decides = nonRetryable || isOneOf(failureTypes, type ?? '');
  if (decides && !trust.isBefore()) {
    const refused = 'refused' in seal ? seal.refused : 'its details have none';
    return failedActivity(activity, `a failure of ${activity} (${message})`, refused);
  }
  for (const [index, detail] of details?.entries() ?? []) if (isUnsealed(detail)) details?.splice(index, 1, detail.value);
  return error;
}

function failedActivity(activity: string, what: string, reason: string): ActivityFailure {
  const cause = notSealed(what, reason);
  return new ActivityFailure(cause.message, activity, undefined, 'NON_RETRYABLE_FAILURE', undefined, cause);
}
