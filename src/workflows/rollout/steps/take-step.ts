import { TemporalFailure } from '@temporalio/common';
import { ActivityFailure, ApplicationFailure, isCancellation, sleep, TimeoutFailure } from '@temporalio/workflow';
import { finalFailureTypes } from '../../../domain/failures.ts';
import { type StepOutcome, sentenceOf } from '../../../domain/outcome-text.ts';
import type { RateLimited, Skipped } from '../../../domain/outcomes.ts';
import { decisionAdvice, nameOf } from '../../../domain/rollout-text.ts';
import type { Rollout } from '../context.ts';
import type { DecisionRules } from '../decisions.ts';
import { endingIn, endRollout } from '../ending.ts';
import type { StepAt } from '../record.ts';

/** Whoever limits the rate for longer than a day says no. */
const longestLimitMs = 24 * 60 * 60_000;
/** Limits are asked about again at least so often: times far ahead are mistakes more often than not. */
const longestWaitMs = 60 * 60_000;

export interface Failure {
  readonly type: string;
  readonly message: string;
  readonly details: unknown;
}

export interface Handling extends DecisionRules {
  /** The step goes on after this part of it. */
  readonly continues?: boolean;
  /** Makes something else of a failure: throws where it must not wait for a person, answers what the person is shown. */
  readonly instead?: (failure: Failure) => Failure;
}

/** Takes a step until it has an outcome: broken things were tried again by Temporal, a "no" waits for an operator. */
export async function takeStep<Outcome extends StepOutcome>(
  run: Rollout,
  at: StepAt,
  act: () => Promise<Outcome>,
  handling: Handling = {},
): Promise<Exclude<Outcome, RateLimited> | Skipped> {
  for (;;) {
    run.record.begin(at);
    let blocked: Failure;
    try {
      const outcome = await pastRateLimits(run, at, act);
      if (!handling.continues) run.record.settle(at, 'passed', sentenceOf(outcome));
      return outcome;
    } catch (error) {
      blocked = block(run, at, failureOf(error), handling);
    }
    const decision = await run.desk.decide(at, handling);
    if (decision !== 'retry') {
      run.record.waive(at, { ...decision, ...(blocked.type === 'OtherChanges' && { of: 'other-changes' as const }) });
      return decision;
    }
  }
}

/** @returns what people are shown */
function block(run: Rollout, at: StepAt, failure: Failure, { instead }: Handling): Failure {
  const { type, message, details } = failure;
  if ((finalFailureTypes as readonly string[]).includes(type)) {
    run.record.settle(at, 'stopped', message, { failure: type });
    endRollout({ end: 'rejected', reason: `${type}: ${message}` });
  }
  const shown = instead?.(failure) ?? { type, message, details };
  run.record.settle(at, 'blocked', shown.message, { failure: shown.type, details: shown.details });
  run.tell.now('blocked', {
    ...(at.stage !== undefined && { stage: at.stage }),
    reason: `${nameOf(at)}: ${shown.message}`,
    advice: decisionAdvice(run.id, { ...at, failure: shown.type }),
  });
  return shown;
}

async function pastRateLimits<Outcome extends StepOutcome>(
  run: Rollout,
  at: StepAt,
  act: () => Promise<Outcome>,
): Promise<Exclude<Outcome, RateLimited>> {
  const started = Date.now();
  for (;;) {
    const outcome = await act();
    if (!isRateLimited(outcome)) return outcome as Exclude<Outcome, RateLimited>;
    if (Date.now() - started > longestLimitMs) throw refusal('RateLimited', 'the rate has been limited for a day');
    run.record.settle(at, 'waiting', `asked to wait until ${outcome.until}`);
    await sleep(untilLimitEnds(outcome.until));
    run.record.begin(at);
  }
}

/** Asks again, as often as the other side asks to wait. */
export async function unlimited<Answer extends { readonly kind: string }>(
  ask: () => Promise<Answer | RateLimited>,
): Promise<Exclude<Answer, RateLimited>> {
  for (;;) {
    const answer = await ask();
    if (!isRateLimited(answer)) return answer as Exclude<Answer, RateLimited>;
    await sleep(untilLimitEnds(answer.until));
  }
}

/** Milliseconds. */
function untilLimitEnds(until: string): number {
  return Math.min(longestWaitMs, Math.max(1_000, Date.parse(until) - Date.now()));
}

function isRateLimited(outcome: { readonly kind: string }): outcome is RateLimited {
  return outcome.kind === 'rate-limited';
}

/** A "no" that the workflow itself has found out. */
export function refusal(type: string, message: string, details?: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    message,
    nonRetryable: true,
    ...(details !== undefined && { details: [details] }),
  });
}

/** What a person has to know of a failed activity. Cancellations and the ends of rollouts are not failures and go on up. */
export function failureOf(error: unknown): Failure {
  if (isCancellation(error) || endingIn(error) !== undefined) throw error;
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (!(cause instanceof TemporalFailure)) throw error;
  if (cause instanceof ApplicationFailure) {
    return { type: cause.type ?? 'Error', message: cause.message, details: cause.details?.[0] };
  }
  const type = cause instanceof TimeoutFailure ? 'Timeout' : 'Error';
  return { type, message: cause.message, details: undefined };
}
