import { TemporalFailure } from '@temporalio/common';
import {
  ActivityFailure,
  ApplicationFailure,
  condition,
  isCancellation,
  sleep,
  TimeoutFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { StageStepInput } from '../../../contracts/activities/delivery.ts';
import type { RolloutStart } from '../../../contracts/messages.ts';
import { finalFailureTypes, isOneOf } from '../../../domain/failures.ts';
import { toldChanges } from '../../../domain/other-changes.ts';
import type { OtherChanges, RateLimited, Reading, Skipped, StepOutcome, VerifiedImage } from '../../../domain/outcomes.ts';
import type { StagePlan } from '../../../domain/plan.ts';
import { isAnswer, isRateLimited, rateLimitMs } from '../../../domain/rate-limit.ts';
import { decisionAdvice, nameOf, type StepName, sentenceOf } from '../../../domain/rollout-state.ts';
import { endRejected, type OperatorDecisions } from '../decisions.ts';
import type { LaneClient } from '../lane-client.ts';
import { endRollout, type RolloutRecord, type StepAt } from '../record.ts';

/** What the steps of a rollout work with. */
export interface RolloutContext {
  readonly start: RolloutStart;
  readonly record: RolloutRecord;
  readonly decisions: OperatorDecisions;
  readonly lane: LaneClient;
}

/** One image on its way to one stage: what every step of a stage is about. */
export interface StageRun extends RolloutContext, Omit<StageStepInput, 'plan'> {
  /** What every activity of the stage takes. */
  readonly input: StageStepInput;
  /** A step of this stage. */
  at(step: StepName): Required<StepAt>;
}

export function stageRunOf(context: RolloutContext, stage: StagePlan, image: VerifiedImage): StageRun {
  const input = { plan: context.start.plan, stage, image };
  return { ...context, stage, image, input, at: (step) => ({ step, stage: stage.name }) };
}

/** What is different about a step. */
export interface StepRules {
  /** The step goes on after this part of it. */
  readonly continues?: boolean;
  /**
   * What an operator's `reject` means: `unhealthy`, because the image is in the stage by now; or `given-up`, because the step is a rollback.
   * Absent: the digest is rejected, and the rollout expires where nobody decides.
   */
  readonly rejection?: 'unhealthy' | 'given-up';
  /** A failure of this type shows that the image is not healthy, and nobody is asked. */
  readonly unhealthyOn?: string;
  /** The last reading before the change, where that was bad: what was unhealthy before is not blamed on the new image. */
  readonly unhealthyBefore?: Reading;
  /** An operator may let through what comes along with the image. */
  readonly consent?: OtherChangesConsent;
}

/** The new image is not healthy, and what ran before has to come back. Never leaves the workflow: `deliver` catches it. */
export class NotHealthy extends Error {
  /** The operator who decided that; absent: the probes did. */
  readonly by: string | undefined;

  constructor(reason: string, by?: string) {
    super(reason);
    this.name = 'NotHealthy';
    this.by = by;
  }
}

/** A rate limit of more than a day is a no. */
const longestLimitMs = 24 * 60 * 60_000;

/**
 * Takes a step until it has an outcome. What is broken, Temporal has tried again already; a "no" waits for an operator.
 * @throws NotHealthy
 */
export async function takeStep<Outcome extends StepOutcome>(
  run: RolloutContext,
  at: StepAt,
  act: () => Promise<Outcome>,
  rules: StepRules = {},
): Promise<Exclude<Outcome, RateLimited> | Skipped> {
  const { record } = run;
  let sinceMs = Date.now();
  for (;;) {
    record.begin(at);
    let failure: Failure;
    try {
      const outcome = await act();
      if (isAnswer(outcome)) {
        if (!rules.continues) record.settle(at, 'passed', sentenceOf(outcome));
        return outcome;
      }
      if (Date.now() - sinceMs > longestLimitMs)
        throw ApplicationFailure.nonRetryable('the rate has been limited for a day', 'RateLimited');
      record.settle(at, 'waiting', sentenceOf(outcome));
      await waitAsAsked(outcome);
      continue;
    } catch (error) {
      failure = failureOf(error);
    }
    block(run, at, failure, rules);
    const skipped = await decided(run, at, rules);
    sinceMs = Date.now();
    if (skipped === undefined) continue;
    const areOthers = failure.type === 'OtherChanges';
    record.waive(at, { ...skipped, ...(areOthers && { of: 'other-changes' as const }) });
    // Let through, it is asked once more, so that nothing else came meanwhile.
    if (!areOthers || !rules.consent?.accept(skipped)) return skipped;
  }
}

/** Asks until there is an answer, and waits as often as the other side asks for it. */
export async function unlimited<Answer extends { readonly kind: string }>(
  ask: () => Promise<Answer>,
): Promise<Exclude<Answer, RateLimited>> {
  for (;;) {
    const answer = await ask();
    if (isAnswer(answer)) return answer;
    await waitAsAsked(answer);
  }
}

async function waitAsAsked(answer: { readonly kind: string }): Promise<void> {
  if (isRateLimited(answer)) await sleep(rateLimitMs(answer, Date.now()));
}

/** What a person has to know of something that failed for good. */
export interface Failure {
  /** As in `failureTypes` where it is a "no"; else `Timeout` or `Error`. */
  readonly type: string;
  readonly message: string;
  readonly details: unknown;
}

/** What is known of a failed activity. All else, as a cancellation or the end of a rollout, is no failure: it is thrown again. */
export function failureOf(error: unknown): Failure {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (isCancellation(error) || !(cause instanceof TemporalFailure)) throw error;
  const { message } = cause;
  if (cause instanceof ApplicationFailure) return { type: cause.type ?? 'Error', message, details: cause.details?.[0] };
  return { type: cause instanceof TimeoutFailure ? 'Timeout' : 'Error', message, details: undefined };
}

/** Shows people why the step does not go on, unless the failure answers that itself. */
function block({ record }: RolloutContext, at: StepAt, failure: Failure, rules: StepRules): void {
  const { type, message } = failure;
  if (isOneOf(finalFailureTypes, type)) {
    record.settle(at, 'stopped', message, { failure: type });
    endRollout({ end: 'rejected', reason: `${type}: ${message}` });
  }
  if (type === rules.unhealthyOn) throw new NotHealthy(message);
  rules.consent?.note(failure);
  const shown = shownOf(failure, at, rules);
  record.settle(at, 'blocked', shown.message, { failure: shown.type, details: shown.details });
  record.notify('blocked', {
    ...(at.stage !== undefined && { stage: at.stage }),
    reason: `${nameOf(at)}: ${shown.message}`,
    advice: decisionAdvice(workflowInfo().workflowId, { ...at, failure: shown.type }),
  });
}

function shownOf(failure: Failure, { stage }: StepAt, { rejection, unhealthyBefore }: StepRules): Failure {
  const { type, message, details } = failure;
  if (rejection === 'given-up') return { type, message: `the rollback of ${stage} is not done: ${message}`, details };
  if (type !== 'Unhealthy' || unhealthyBefore === undefined) return failure;
  const { text, at } = unhealthyBefore;
  return {
    type: 'UnhealthyBefore',
    message: `it was unhealthy before the change already (${text}, at ${at}), and still is: ${message}`,
    details: { before: unhealthyBefore, now: details },
  };
}

/**
 * Waits until an operator has decided on a blocked step. Ends the rollout where that, or a newer image, or nobody in time says so.
 * @returns nothing where it is to be tried again
 */
async function decided(
  { start, decisions, lane }: RolloutContext,
  at: StepAt,
  { rejection }: StepRules,
): Promise<Skipped | undefined> {
  const { decideWithinMs } = start.plan;
  const isOver = (): boolean => decisions.isMade(at) || lane.supersededIn(at.stage) !== undefined;
  const inTime = await condition(isOver, decideWithinMs);
  const made = decisions.take(at);
  const by = lane.supersededIn(at.stage);
  if (made === undefined && by !== undefined) {
    return endRollout({ end: 'superseded', reason: `by ${by}, while ${nameOf(at)} was blocked` });
  }
  if (!inTime || made === undefined) {
    const within = `${Math.round(decideWithinMs / 60_000)} minutes`;
    const end = rejection === undefined ? 'expired' : 'failed';
    return endRollout({ end, reason: `${nameOf(at)} was blocked and nobody decided within ${within}` });
  }
  const { verb, reason } = made;
  if (verb === 'retry') return undefined;
  if (verb === 'skip') return { kind: 'skipped', by: made.by, reason };
  if (rejection === 'unhealthy') throw new NotHealthy(`rejected by ${made.by}${reason && `: ${reason}`}`, made.by);
  if (rejection === undefined) return endRejected(at, made);
  return endRollout({ end: 'failed', reason: `the rollback of ${at.stage} was given up by ${made.by}: ${reason}` });
}

/** What a deploy changes besides the image: what was found, and what an operator let through. */
export class OtherChangesConsent {
  #found: OtherChanges | undefined;
  #accepted: { readonly fingerprint: string; readonly by: string } | undefined;

  /** For a deploy: the fingerprint of the changes that were let through. */
  get input(): { readonly accepted?: string } {
    return this.#accepted === undefined ? {} : { accepted: this.#accepted.fingerprint };
  }

  /** A failure because of other changes says which. */
  note({ type, details }: Failure): void {
    if (type === 'OtherChanges' && details !== undefined) this.#found = details as OtherChanges;
  }

  /** An operator who skips the failure says yes to these changes. @returns false where nothing else was found than what is let through */
  accept({ by, reason }: Skipped): boolean {
    if (this.#found === undefined || this.#found.fingerprint === this.#accepted?.fingerprint) return false;
    this.#accepted = { fingerprint: this.#found.fingerprint, by: `${by}: ${reason}` };
    return true;
  }

  /** `web: command changed (1a2b3c4d5e6f by Bob: ...), let through by ann: it is meant`; undefined where nothing comes along. */
  get text(): string | undefined {
    if (this.#found === undefined) return undefined;
    const isAccepted = this.#found.fingerprint === this.#accepted?.fingerprint;
    return `${toldChanges(this.#found)}${isAccepted ? `, let through by ${this.#accepted?.by}` : ''}`;
  }
}
