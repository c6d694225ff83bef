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
import { logIn } from '../../../domain/notice.ts';
import { toldChanges } from '../../../domain/other-changes.ts';
import type { OtherChanges, RateLimited, Reading, Skipped, StepOutcome, VerifiedImage } from '../../../domain/outcomes.ts';
import type { Plan, StagePlan } from '../../../domain/plan.ts';
import { isAnswer, isRateLimited, rateLimitMs } from '../../../domain/rate-limit.ts';
import { decisionAdvice, nameOf, type StepName, type StepState, sentenceOf } from '../../../domain/rollout-state.ts';
import { tracedStep } from '../../traced.ts';
import { endRejected, type MadeDecision, type OperatorDecisions } from '../decisions.ts';
import type { LaneClient } from '../lane-client.ts';
import { endRollout, type RolloutRecord, type StepAt } from '../record.ts';

/** What the steps of a rollout work with. */
export interface RolloutContext {
  readonly start: RolloutStart;
  readonly record: RolloutRecord;
  readonly decisions: OperatorDecisions;
  readonly lane: LaneClient;
  readonly planNow?: () => Promise<Plan | undefined>;
}

/** What taking a step needs of it. */
export interface StepTerms {
  readonly start: { readonly plan: Pick<RolloutStart['plan'], 'decideWithinMs'> };
  readonly record: Pick<RolloutRecord, 'begin' | 'settle' | 'waive' | 'notify'>;
  readonly decisions: Pick<OperatorDecisions, 'isMade' | 'take'>;
  readonly lane: Pick<LaneClient, 'supersededIn'>;
  /** What the configuration has planned for it by now; undefined where it has nothing. Absent: it keeps its plan. */
  readonly planNow?: () => Promise<Plan | undefined>;
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
  /** The last lines of what is not healthy. */
  readonly log: string | undefined;

  constructor(reason: string, { by, log }: { readonly by?: string; readonly log?: string | undefined } = {}) {
    super(reason);
    this.name = 'NotHealthy';
    this.by = by;
    this.log = log;
  }
}

/** A rate limit of more than a day is a no. */
const longestLimitMs = 24 * 60 * 60_000;

/**
 * Takes a step until it has an outcome. What is broken, Temporal has tried again already; a "no" waits for an operator.
 * @throws NotHealthy
 */
export function takeStep<Outcome extends StepOutcome>(
  run: StepTerms,
  at: StepAt,
  act: () => Promise<Outcome>,
  rules: StepRules = {},
): Promise<Exclude<Outcome, RateLimited> | Skipped> {
  return tracedStep(at, () => untilOutcome(run, at, act, rules));
}

async function untilOutcome<Outcome extends StepOutcome>(
  run: StepTerms,
  at: StepAt,
  act: () => Promise<Outcome>,
  rules: StepRules,
): Promise<Exclude<Outcome, RateLimited> | Skipped> {
  const { record } = run;
  let sinceMs = Date.now();
  for (;;) {
    record.begin(at);
    let failure: Failure;
    try {
      const outcome = await act();
      if (isAnswer(outcome)) {
        if (!rules.continues) record.settle(at, 'passed', sentenceOf(outcome), shownDetails(outcome));
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

/** What a person should see of a step that passed: what a check found, and how the health was. */
function shownDetails(outcome: StepOutcome): Pick<StepState, 'details'> {
  if (outcome.kind === 'checked') return outcome.evidence.length === 0 ? {} : { details: outcome.evidence };
  if (outcome.kind !== 'watched') return {};
  const { kind: _, ...watched } = outcome;
  return { details: watched };
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
function block({ record }: StepTerms, at: StepAt, failure: Failure, rules: StepRules): void {
  const { type, message } = failure;
  if (isOneOf(finalFailureTypes, type)) {
    record.settle(at, 'stopped', message, { failure: type });
    endRollout({ end: 'rejected', reason: `${type}: ${message}` });
  }
  if (type === rules.unhealthyOn) {
    // Its container is gone in a moment: readings and last lines stay here.
    record.settle(at, 'stopped', message, { failure: type, details: failure.details });
    throw new NotHealthy(message, { log: logIn(failure.details) });
  }
  rules.consent?.note(failure);
  const shown = shownOf(failure, at, rules);
  const log = logIn(shown.details);
  record.settle(at, 'blocked', shown.message, { failure: shown.type, details: shown.details });
  record.notify('blocked', {
    ...(at.stage !== undefined && { stage: at.stage }),
    reason: `${nameOf(at)}: ${shown.message}`,
    ...(log !== undefined && { log }),
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
async function decided(run: StepTerms, at: StepAt, rules: StepRules): Promise<Skipped | undefined> {
  const { start, decisions, lane } = run;
  const { rejection } = rules;
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
  if (verb === 'renew') return await renewed(run, at, rules, made);
  if (verb === 'skip') return { kind: 'skipped', by: made.by, reason };
  if (rejection === 'unhealthy') throw rejectedIn(made);
  if (rejection === undefined) return endRejected(at, made);
  return endRollout({ end: 'failed', reason: `the rollback of ${at.stage} was given up by ${made.by}: ${reason}` });
}

/** An operator's no to an image that is in its stage. */
export function rejectedIn({ by, reason }: MadeDecision): NotHealthy {
  return new NotHealthy(`rejected by ${by}${reason && `: ${reason}`}`, { by });
}

/** Ends the run, which then begins anew with what the configuration has for it now; where that is nothing, the step stays blocked. */
async function renewed(run: StepTerms, at: StepAt, rules: StepRules, { by, reason }: MadeDecision): Promise<Skipped | undefined> {
  const plan = await run.planNow?.();
  const why = reason && `: ${reason}`;
  if (plan !== undefined)
    return endRollout({ end: 'aborted', reason: `begins anew with the new configuration, by ${by}${why}`, renewed: plan });
  const nothing = 'the configuration of the workers does not follow this image for this service any more, so it stays as it is';
  run.record.settle(at, 'blocked', nothing, { failure: 'NotFollowed' });
  return await decided(run, at, rules);
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
