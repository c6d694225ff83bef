import { userInfo } from 'node:os';
import type { Kinds } from '../config/kinds.ts';
import type { Environment } from '../domain/environment.ts';
import { codeOf } from '../domain/errors.ts';
import { processEnvironment } from '../settings/environment.ts';
import { askYesOrNo } from './terminal.ts';

/** What a command is run with: everything that it reads of, and writes to, the machine. */
export interface CliContext {
  /** What may stand in the configuration. */
  readonly kinds: Kinds;
  readonly env: Environment;
  /** Who runs the command, for the record: LANDFALL_OPERATOR, else the user of the machine. */
  readonly operator: string;
  /** Writes one line of result. */
  readonly print: (line: string) => void;
  /** Writes one line that is no result. */
  readonly warn: (line: string) => void;
  /** Columns of the terminal; absent where the output is no terminal, which means: plain, and nothing cut. */
  readonly width?: number;
  /** Asks a question that is answered with yes or no; absent where nobody sits at a terminal. */
  readonly confirm?: (question: string) => Promise<boolean>;
}

/** That of this process. */
export function processContext(kinds: Kinds): CliContext {
  const env = processEnvironment();
  return {
    kinds,
    env,
    operator: operatorName(env),
    print: (line) => void process.stdout.write(`${line}\n`),
    warn: (line) => void process.stderr.write(`${line}\n`),
    ...(process.stdout.isTTY ? { width: process.stdout.columns } : {}),
    ...(process.stdin.isTTY && process.stderr.isTTY
      ? { confirm: (question) => askYesOrNo(question, process.stdin, process.stderr) }
      : {}),
  };
}

/** In a container the user id may have no name. */
function operatorName(env: Environment): string {
  if (env.LANDFALL_OPERATOR) return env.LANDFALL_OPERATOR;
  try {
    return userInfo().username;
  } catch (error) {
    return env.USER || env.LOGNAME || `uid ${process.getuid?.() ?? 'unknown'} (${codeOf(error) ?? 'no name'})`;
  }
}
