import { ApplicationFailure, proxyLocalActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../contracts/activities/index.ts';
import { decidedQuery, type LaneDecision } from '../contracts/messages.ts';
import { decidedMeanwhile } from '../domain/decision-proof.ts';
import { DecisionRefused } from '../domain/lane/decisions.ts';
import { type Attribution, nameOfPerson, typedName, typedReason } from '../domain/person.ts';
import type { Decision } from '../domain/rollout-state.ts';

export const { whoDecided } = proxyLocalActivities<Pick<Activities, 'whoDecided'>>({
  startToCloseTimeout: '5s',
  retry: { maximumAttempts: 3 },
});

/**
 * Counts what operators decide, and asks who made a proof. A proof names the count that it was made at, so one that stands in a history
 * is worth nothing a second time. Many may decide at once: the first is taken, and the others look again.
 */
export class DecisionCounter {
  #decided: number;
  readonly #runId: string;

  /** @param decided where it goes on from @param runId that proofs are bound to */
  constructor(decided = 0, runId = workflowInfo().runId) {
    this.#decided = decided;
    this.#runId = runId;
    setHandler(decidedQuery, () => this.#decided);
  }

  get decided(): number {
    return this.#decided;
  }

  /**
   * With a proof, the worker that knows the hashes of operators is asked first.
   * @param take applies the decision, or throws where it does not apply (any more); it is given who has proven to be who, if anybody
   */
  withProof<Answer>(
    verb: string,
    decision: (Decision & LaneDecision) | undefined,
    take: (proven?: string) => Answer,
  ): Answer | Promise<Answer> {
    const taken = (proven?: string): Answer => {
      const answer = take(proven);
      this.#decided += 1;
      return answer;
    };
    if (decision?.proof === undefined) return taken();
    this.#refuseUsed(decision);
    const { workflowId: rollout } = workflowInfo();
    return whoDecided({ rollout, runId: this.#runId, verb, decision }).then(({ by }) => {
      // While it was looked at, the same proof may have come a second time.
      this.#refuseUsed(decision);
      return taken(by);
    });
  }

  #refuseUsed({ earlier }: Decision): void {
    if (earlier === undefined) {
      refuse('the proof does not say after how many decisions it was made: decide with the command landfall of this version');
    }
    if (earlier !== this.#decided) refuse(`${decidedMeanwhile}: look at what it is now, and decide again`);
  }
}

/** Who decided, when, and why. Operators may type anything, or nothing. @param proven who has proven to be who; absent: it is only typed */
export function attributionOf(
  typed: { readonly by?: string; readonly reason?: string } | undefined,
  proven?: string,
): Attribution {
  const by = proven ?? nameOfPerson({ by: typedName(typed?.by), verified: false });
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
