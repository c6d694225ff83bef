import { InvalidConfiguration, InvalidInput, OperationError, Unreachable } from '../operations/errors.ts';
import { type ConfigurationProblem, formatProblem } from '../settings/problem.ts';
import { plain } from './terminal.ts';

/** Exit codes of the `landfall` command: docs/operating.md. `unreachable`: Temporal, a worker or the API did not answer, and it may have been done all the same. */
export const exitCodes = { fine: 0, refused: 1, usage: 2, unreachable: 3 } as const;

/** The command does not do what was asked; the message says why and what to do. */
export class CommandFailure extends Error {
  readonly exitCode: number = exitCodes.refused;
}

/** It was asked in the wrong way. */
export class UsageFailure extends CommandFailure {
  override readonly exitCode = exitCodes.usage;
}

/** Problems echo what they found, and a file from elsewhere may hold what steers a terminal. */
export function problemLines(problems: readonly ConfigurationProblem[]): string[] {
  return problems.map((problem) => plain(formatProblem(problem)));
}

/** What an error means to whoever typed the command: the text to show and the exit code. */
export function explain(error: unknown): { readonly message: string; readonly exitCode: number } {
  if (error instanceof CommandFailure) return error;
  if (error instanceof InvalidConfiguration) {
    return { message: problemLines(error.problems).join('\n'), exitCode: exitCodes.refused };
  }
  if (error instanceof OperationError) {
    return { message: printable(error.message), exitCode: codeOf(error) };
  }
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message: `unexpected, please report it: ${what}`, exitCode: exitCodes.refused };
}

function codeOf(error: OperationError): number {
  if (error instanceof InvalidInput) return exitCodes.usage;
  return error instanceof Unreachable ? exitCodes.unreachable : exitCodes.refused;
}

/** Line by line, so that nothing in it steers the terminal; what is indented stays so. */
function printable(message: string): string {
  return message
    .split('\n')
    .map((line) => `${/^ */.exec(line)?.[0]}${plain(line)}`)
    .join('\n');
}
