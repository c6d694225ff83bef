import { CommanderError } from 'commander';
import type { CliContext } from './context.ts';
import { exitCodes, explain } from './errors.ts';
import { createProgram } from './program.ts';

export { processContext } from './context.ts';

/** Runs the command line; the exit code is 0 where all is well, 1 where it was refused or failed, 2 where it was used wrongly. */
export async function run(words: readonly string[], context: CliContext): Promise<number> {
  let exitCode: number = exitCodes.fine;
  const program = createProgram(context, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has said it already: help and version end with 0, wrong usage with 1.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
    const failure = explain(error);
    context.warn(failure.message);
    return failure.exitCode;
  }
}

/** Whoever has read enough (`landfall list | head`) closes the pipe: what else is printed is lost, and nothing is wrong. */
export function allowClosedPipes(...streams: readonly NodeJS.WriteStream[]): void {
  for (const stream of streams) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}
