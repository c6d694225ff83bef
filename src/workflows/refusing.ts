import { ApplicationFailure } from '@temporalio/workflow';
import { DecisionRefused } from '../domain/lane/refused.ts';

/**
 * What a rule refuses is the answer to the operator, for validators and handlers of updates alike: any other error of a handler would fail
 * the workflow's task again and again.
 */
export function refusing<Args extends readonly unknown[], Answer>(rule: (...args: Args) => Answer): (...args: Args) => Answer {
  return (...args) => {
    try {
      return rule(...args);
    } catch (error) {
      if (!(error instanceof DecisionRefused)) throw error;
      return refuse(error.message);
    }
  };
}

/** The answer to an operator: this decision does not apply. */
export function refuse(message: string): never {
  throw ApplicationFailure.create({ type: 'DecisionRefused', message, nonRetryable: true });
}
