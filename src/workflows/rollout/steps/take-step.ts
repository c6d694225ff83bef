import { workflowInfo } from '@temporalio/workflow';
import { finalFailureTypes, isOneOf } from '../../../domain/failures.ts';
import { type StepOutcome, sentenceOf } from '../../../domain/outcome-text.ts';
import type { RateLimited, Skipped } from '../../../domain/outcomes.ts';
import { decisionAdvice, nameOf } from '../../../domain/rollout-text.ts';
import { type Failure, failureOf, refusal } from '../../failure.ts';
import { unlimited } from '../../rate-limit.ts';
import type { RolloutContext } from '../context.ts';
import type { DecisionRules } from '../decisions.ts';
import { endRollout } from '../ending.ts';
import type { StepAt } from '../record.ts';

/** A rate limit of more than a day is a no. */
const longestLimitMs = 24 * 60 * 60_000;

export interface Handling extends DecisionRules {
  /** The step goes on after this part of it. */
  readonly continues?: boolean;
  /** Makes something else of a failure: throws where it must not wait for a person, answers what the person is shown. */
  readonly instead?: (failure: Failure) => Failure;
}

type StepContext = Pick<RolloutContext, 'record' | 'decisions' | 'notifier'>;

/**
 * Takes a step until it has an outcome. Temporal has already retried what is broken; a "no" waits for an operator, who retries, skips or
 * rejects it.
 */
export async function takeStep<Outcome extends StepOutcome>(
  run: StepContext,
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
    const decision = await run.decisions.decide(at, handling);
    if (decision !== 'retry') {
      run.record.waive(at, { ...decision, ...(blocked.type === 'OtherChanges' && { of: 'other-changes' as const }) });
      return decision;
    }
  }
}

/** @returns what people are shown */
function block(run: StepContext, at: StepAt, failure: Failure, { instead }: Handling): Failure {
  const { type, message } = failure;
  if (isOneOf(finalFailureTypes, type)) {
    run.record.settle(at, 'stopped', message, { failure: type });
    endRollout({ end: 'rejected', reason: `${type}: ${message}` });
  }
  const shown = instead?.(failure) ?? failure;
  run.record.settle(at, 'blocked', shown.message, { failure: shown.type, details: shown.details });
  run.notifier.notify('blocked', {
    ...(at.stage !== undefined && { stage: at.stage }),
    reason: `${nameOf(at)}: ${shown.message}`,
    advice: decisionAdvice(workflowInfo().workflowId, { ...at, failure: shown.type }),
  });
  return shown;
}

async function pastRateLimits<Outcome extends StepOutcome>(
  run: StepContext,
  at: StepAt,
  act: () => Promise<Outcome>,
): Promise<Exclude<Outcome, RateLimited>> {
  const started = Date.now();
  let isLimited = false;
  const again = (): Promise<Outcome> => {
    if (isLimited) run.record.begin(at);
    return act();
  };
  return await unlimited(again, ({ until }) => {
    if (Date.now() - started > longestLimitMs) throw refusal('RateLimited', 'the rate has been limited for a day');
    isLimited = true;
    run.record.settle(at, 'waiting', `asked to wait until ${until}`);
  });
}
