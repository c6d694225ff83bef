import { ApplicationFailure } from '@temporalio/workflow';
import { DecisionRefused } from '../domain/lane/decisions.ts';
import { type Attribution, nameOfPerson, typedName, typedReason } from '../domain/person.ts';

/** Who decided, as they typed it, when, and why. Operators may type anything, or nothing. */
export function attributionOf(typed: { readonly by?: string; readonly reason?: string } | undefined): Attribution {
  const by = nameOfPerson({ by: typedName(typed?.by), verified: false });
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
