import { type ConfigurationProblem, formatProblem } from '../settings/problem.ts';

/**
 * Why Landfall cannot tell or do what an operator asked. The message says what was expected, what was found, and what to do; it may have
 * several lines, and hold what people and registries wrote. Anything else that an operation throws is a defect of ours.
 */
export abstract class OperationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** It was asked in a wrong way: asking again in the same way never helps. */
export class InvalidInput extends OperationError {}

/** There is nothing of that name. */
export class NotFound extends OperationError {}

/** Several things have that name. */
export class Ambiguous extends OperationError {
  /** Names of one each; not all of them where they are many. */
  readonly candidates: readonly string[];

  constructor(message: string, candidates: readonly string[]) {
    super(message);
    this.candidates = candidates;
  }
}

/** Temporal, or a worker of Landfall, did not answer. It may have been done all the same. */
export class Unreachable extends OperationError {}

/** For what is worth telling, and not worth failing for: nothing where nobody answered. @throws anything else */
export function unlessUnanswered(error: unknown): undefined {
  if (!(error instanceof Unreachable)) throw error;
}

/** It does not apply to what is there now, or this person may not do it. Nothing was done. */
export class Refused extends OperationError {}

/** The configuration cannot be used; the message has one line for each problem. */
export class InvalidConfiguration extends OperationError {
  readonly problems: readonly ConfigurationProblem[];

  constructor(problems: readonly ConfigurationProblem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}
