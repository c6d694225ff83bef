import {
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  log,
  patched,
  proxyLocalActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../contracts/activities/index.ts';
import { decidedQuery, type LaneDecision } from '../contracts/messages.ts';
import { decidedMeanwhile, provenTrigger } from '../domain/decision-proof.ts';
import type { ImagePush } from '../domain/image-push.ts';
import type { Digest } from '../domain/image-reference.ts';
import { DecisionRefused } from '../domain/lane/decisions.ts';
import { type Attribution, nameOfPerson, type Person, typedName, typedReason } from '../domain/person.ts';
import type { Decision } from '../domain/rollout-state.ts';
import { type DecidedOn, recordRefusal } from './audit.ts';

const { whoDecided } = proxyLocalActivities<Pick<Activities, 'whoDecided'>>({
  startToCloseTimeout: '5s',
  retry: { maximumAttempts: 3 },
});

/** Before, whoever typed a name was taken for somebody unverified, and nobody was asked whether that operator has a token. */
const namesAreChecked = 'names of operators are checked';

type OperatorDecision = Decision & LaneDecision;

/**
 * Counts what operators decide, and asks who made a proof. A proof names the count that it was made at, so one that stands in a history
 * is worth nothing a second time. Many may decide at once: the first is taken, and the others look again. What is refused is recorded.
 */
export class DecisionCounter {
  #decided: number;
  readonly #runId: string;
  readonly #about: () => DecidedOn;

  /** @param about what decisions are about, for the record @param decided where it goes on from @param runId that proofs are bound to */
  constructor(about: () => DecidedOn, decided = 0, runId = workflowInfo().runId) {
    this.#about = about;
    this.#decided = decided;
    this.#runId = runId;
    setHandler(decidedQuery, () => this.#decided);
  }

  get decided(): number {
    return this.#decided;
  }

  /**
   * The worker that knows the operators is asked first: who made the proof, or whether a name without one may be typed.
   * @param take applies the decision, or throws where it does not apply (any more); it is given who has proven to be who, if anybody
   */
  withProof<Answer>(
    verb: string,
    decision: OperatorDecision | undefined,
    take: (proven?: Person) => Answer,
  ): Answer | Promise<Answer> {
    const recorded = (error: unknown): never => this.#record(verb, decision, error);
    const taken = (proven?: Person): Answer => {
      const answer = take(proven);
      this.#decided += 1;
      return answer;
    };
    try {
      if (decision?.proof === undefined && !patched(namesAreChecked)) return taken();
      this.#refuseUsed(decision);
      const asked = { rollout: workflowInfo().workflowId, runId: this.#runId, verb, decision: decision ?? {} };
      return whoDecided(asked)
        .then((person) => {
          // While it was looked at, the same proof may have come a second time.
          this.#refuseUsed(decision);
          return taken(person.verified ? person : undefined);
        })
        .catch(recorded);
    } catch (error) {
      return recorded(error);
    }
  }

  /** A validator that records what it refuses. */
  validator<Args extends readonly [OperatorDecision?]>(verb: string, validate: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        validate(...args);
      } catch (error) {
        this.#record(verb, args[0], error);
      }
    };
  }

  /** The command tries again by itself what came a moment too late. */
  #record(verb: string, decision: OperatorDecision | undefined, error: unknown): never {
    const cause = error instanceof ActivityFailure ? error.cause : error;
    if (cause instanceof ApplicationFailure && cause.type === 'DecisionRefused' && !cause.message.includes(decidedMeanwhile)) {
      const by = nameOfPerson({ by: typedName(decision?.by), verified: false });
      const { stage, step } = decision ?? {};
      const at = { ...(typeof stage === 'string' && { stage }), ...(typeof step === 'string' && { step }) };
      recordRefusal(verb, { by, reason: typedReason(cause.message) }, { ...this.#about(), ...at });
    }
    throw error;
  }

  #refuseUsed(decision: OperatorDecision | undefined): void {
    if (decision?.proof === undefined) return;
    const { earlier } = decision;
    if (earlier === undefined) {
      refuse('the proof does not say after how many decisions it was made: decide with the command landfall of this version');
    }
    if (earlier !== this.#decided) refuse(`${decidedMeanwhile}: look at what it is now, and decide again`);
  }
}

/** Who decided, when, and why. Operators may type anything, or nothing. @param proven who has proven to be who; absent: it is only typed */
export function attributionOf(
  typed: { readonly by?: string; readonly reason?: string } | undefined,
  proven?: Person,
): Attribution {
  const by = nameOfPerson(proven ?? { by: typedName(typed?.by), verified: false });
  const reason = typedReason(typed?.reason);
  return { by, ...(reason !== '' && { reason }), at: new Date().toISOString() };
}

/** What a rule refuses is the operator's answer; any other error of a handler would fail the workflow's task again and again. */
export function refusing<Args extends readonly unknown[], Answer>(rule: (...args: Args) => Answer): (...args: Args) => Answer {
  return (...args) => {
    try {
      return rule(...args);
    } catch (error) {
      if (error instanceof DecisionRefused) refuse(error.message);
      throw error;
    }
  };
}

/** The answer to an operator: this decision does not apply. */
export function refuse(message: string): never {
  throw ApplicationFailure.nonRetryable(message, 'DecisionRefused');
}

/** What an operator asked for by hand. */
export interface TriggerSubject {
  readonly service: string;
  readonly push: ImagePush;
  /** Where it was named. */
  readonly digest?: Digest | undefined;
}

/** Who shows to have triggered it, for the worker that knows the operators. @returns undefined where it stays a claim */
export async function provenTriggerer({ service, push, digest }: TriggerSubject): Promise<Person | undefined> {
  const { by = '', proof = '', login } = push.trigger ?? {};
  const decision = { by, proof, ...(login !== undefined && { login }), ...(digest !== undefined && { digest }) };
  try {
    return await whoDecided({ ...provenTrigger(service, push), decision });
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('who triggered this is not proven', { workflow: workflowInfo().workflowId, by, error });
    return undefined;
  }
}
