import { userInfo } from 'node:os';
import { CommanderError } from 'commander';
import type { Kinds } from '../config/kinds.ts';
import { type Environment, processEnvironment } from '../settings/environment.ts';
import { CommandFailure, exitCodes } from './failure.ts';
import { createProgram } from './program.ts';
import { askYesOrNo, type Surroundings } from './terminal.ts';

/** Runs the command line; the exit code is 0 where all is well, 1 where it was refused or failed, 2 where it was used wrongly. */
export async function run(words: readonly string[], surroundings: Surroundings): Promise<number> {
  let exitCode: number = exitCodes.fine;
  const program = createProgram(surroundings, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has said it already: help and version end with 0, wrong usage with 1.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
    return await report(error, surroundings);
  }
}

async function report(error: unknown, { warn }: Surroundings): Promise<number> {
  if (error instanceof CommandFailure) {
    warn(error.message);
    return error.exitCode;
  }
  const { explain } = await import('./service-errors.ts');
  const known = explain(error);
  warn(
    known?.message ?? `unexpected, please report it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  return known?.exitCode ?? exitCodes.refused;
}

/** The process's own surroundings. */
export function processSurroundings(kinds: Kinds): Surroundings {
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

/** Whoever has read enough (`landfall list | head`) closes the pipe: what else is printed is lost, and nothing is wrong. */
export function allowClosedPipes(...streams: readonly NodeJS.WriteStream[]): void {
  for (const stream of streams) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

/** In a container the user id may have no name. */
function operatorName(env: Environment): string {
  if (env.LANDFALL_OPERATOR) return env.LANDFALL_OPERATOR;
  try {
    return userInfo().username;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no name';
    return env.USER || env.LOGNAME || `uid ${process.getuid?.() ?? 'unknown'} (${code})`;
  }
}
