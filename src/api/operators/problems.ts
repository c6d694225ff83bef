import type { Middleware } from 'koa';
import type { RequestOutcome } from '../../domain/audit.ts';
import type { Log } from '../../domain/log.ts';
import { answer, unanswered } from '../../http/app.ts';
import { Problem } from '../../http/problem.ts';
import {
  Ambiguous,
  InvalidConfiguration,
  InvalidInput,
  NotFound,
  OperationError,
  Refused,
  Unreachable,
} from '../../operations/index.ts';

/** What can go wrong when the API is asked: docs/problems.md has a section for each. */
export const problemTypes = {
  malformed: [400, 'The request cannot be read'],
  unauthenticated: [401, 'Nobody knows who asks'],
  forbidden: [403, 'Somebody else may do this'],
  'foreign-origin': [403, 'Another site wanted this'],
  'not-found': [404, 'There is nothing of that name'],
  'method-not-allowed': [405, 'This cannot be done with it'],
  'timed-out': [408, 'The body came too slowly'],
  ambiguous: [409, 'Several things have that name'],
  refused: [409, 'It does not apply now'],
  'too-large': [413, 'The body is too large'],
  'unsupported-media-type': [415, 'The body is of another kind'],
  'invalid-input': [422, 'Something was expected to be different'],
  limited: [429, 'Too many ask'],
  failed: [500, 'A defect of Landfall'],
  'invalid-configuration': [503, 'The configuration cannot be used'],
  unavailable: [503, 'Something that is needed does not answer'],
} as const satisfies Readonly<Record<string, readonly [number, string]>>;
export type ProblemName = keyof typeof problemTypes;

/** Where a type is explained, on this very listener. */
export const problemsPath = '/api/v1/problems/';

/** Every error of the API ends here, as problem+json (RFC 9457) with a type that is explained. */
export function answerProblems(log: Log): Middleware {
  return async (context, next) => {
    try {
      await next();
      const problem = unanswered(context);
      if (problem !== undefined) answer(context, typed(problem));
    } catch (error) {
      const problem = problemOf(error);
      if (problem.outcome === 'failed') {
        const whole = error instanceof Error ? (error.stack ?? error.message) : String(error);
        log.error({ error: whole, path: context.path }, 'a request of the API failed unexpectedly');
      }
      answer(context, problem);
    }
  };
}

function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return typed(error);
  if (error instanceof Ambiguous) return made('ambiguous', error.message, { candidates: error.candidates });
  if (error instanceof OperationError) return made(nameOf(error), error.message);
  return made('failed', 'Something went wrong here; the log of the server says what. Ask again later.');
}

function nameOf(error: OperationError): ProblemName {
  if (error instanceof InvalidInput) return 'invalid-input';
  if (error instanceof NotFound) return 'not-found';
  if (error instanceof Refused) return 'refused';
  if (error instanceof Unreachable) return 'unavailable';
  return error instanceof InvalidConfiguration ? 'invalid-configuration' : 'failed';
}

function made(name: ProblemName, detail: string, more: Readonly<Record<string, unknown>> = {}): Problem {
  const [status, title] = problemTypes[name];
  const headers: Readonly<Record<string, string>> = status === 503 ? { 'Retry-After': '5' } : {};
  const outcomes: Readonly<Partial<Record<ProblemName, RequestOutcome>>> = {
    'invalid-input': 'malformed',
    'invalid-configuration': 'unavailable',
  };
  const outcome = outcomes[name] ?? (name as RequestOutcome);
  return new Problem(status, outcome, detail, headers, { type: problemsPath + name, title, ...more });
}

function isName(name: string): name is ProblemName {
  return Object.hasOwn(problemTypes, name);
}

/** One of the kit for listeners, which knows of no types. */
function typed(problem: Problem): Problem {
  const { outcome, message, headers, status } = problem;
  if (!isName(outcome) || 'type' in problem.members) return problem;
  return new Problem(status, outcome, message, headers, { type: problemsPath + outcome, title: problemTypes[outcome][1] });
}
